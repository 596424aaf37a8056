"""A discriminator of patches, and how much its word counts (Isola et al. 2017; Esser et al. 2021, section 3.1)."""

import torch
from torch import Tensor, nn
from torch.nn.functional import relu


class PatchDiscriminator(nn.Module):
    """Says of each patch of a picture [B, 3, H, W], -1..1, whether it looks real: [B, 1, h, w], more is more real.

    layers: how often the picture is halved; a patch is 16, 34, 70 ... pixels wide for 2, 3, 4 ... of them. Group instead of
    batch normalisation: small batches, and several processes, see the same.
    """

    def __init__(self, width: int = 64, layers: int = 3) -> None:
        super().__init__()
        steps: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        last = width
        for number in range(1, layers):
            wide = width * min(2**number, 8)
            steps += [nn.Conv2d(last, wide, 4, 2, 1), nn.GroupNorm(8, wide), nn.LeakyReLU(0.2)]
            last = wide
        self.net = nn.Sequential(*steps, nn.Conv2d(last, 1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.net(x)
        return made


def hinge_loss(real: Tensor, made: Tensor) -> Tensor:
    """What the discriminator lowers (Lim and Ye 2017): real patches above 1, made ones below -1."""
    return 0.5 * (relu(1 - real).mean() + relu(1 + made).mean())


def adaptive_weight(reconstruction: Tensor, adversarial: Tensor, last: Tensor, most: float = 1e4) -> Tensor:
    """How much the adversarial loss counts (Esser et al. 2021, equation 7): as strong a pull on the decoder's last layer.

    reconstruction, adversarial: losses; last: the weights of that layer.
    """
    (rec,) = torch.autograd.grad(reconstruction, last, retain_graph=True)
    (adv,) = torch.autograd.grad(adversarial, last, retain_graph=True)
    weight: Tensor = rec.norm() / (adv.norm() + 1e-4)
    return weight.clamp(0, most).detach()
