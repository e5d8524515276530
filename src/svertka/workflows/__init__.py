"""What several commands share: run folders, opening models, progress, what a model is evaluated on."""
