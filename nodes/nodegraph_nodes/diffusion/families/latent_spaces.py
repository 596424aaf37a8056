"""Which families' latents mean the same, so that a run may go on in another of them."""

_AGREEING: tuple[frozenset[str], ...] = (
    frozenset({"sd1", "sd2"}),  # one autoencoder (Stable Diffusion 2 kept that of 1)
    frozenset({"sdxl", "sdxl_refiner"}),
)


def same_latents(one: str, other: str) -> bool:
    """Whether two families share a latent space."""
    return one == other or any(one in group and other in group for group in _AGREEING)
