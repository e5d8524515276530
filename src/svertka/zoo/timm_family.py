"""The networks of timm, found by the prefix ``timm/``. timm is imported only when one of them is asked for."""

from __future__ import annotations

PREFIX = "timm/"
