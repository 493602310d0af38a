"""The device that a model runs on: what was asked for, or an error."""

from __future__ import annotations

import torch

from one_embedder.errors import ConfigError


def find_device(asked: str | int | torch.device | None) -> torch.device:
    """The device that was asked for; it never becomes another one.

    Args:
        asked: a torch device or its name; a number is that GPU, 0 the first. None takes the GPU if there is one.

    Raises:
        ConfigError: if there is no such name, or no such device on this machine.
    """
    if asked is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(asked)
        torch.empty(0).to(device)
    # No such name, no such device, a torch built without it; a value of another type.
    except (RuntimeError, AssertionError, TypeError) as error:
        told = asked if isinstance(asked, int) else str(asked)
        raise ConfigError(f"device={told!r} cannot be used: {str(error).splitlines()[0]}") from error
    return device
