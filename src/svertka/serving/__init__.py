"""HTTP and its one page: what models say of images, asked over a network, from bounded time and memory."""
