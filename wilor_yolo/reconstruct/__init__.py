"""The reconstructor: crops in, MANO hands out (paper section 4.2)."""
