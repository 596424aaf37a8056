"""What can be wrong with a model on disk, worded for the person who chose it."""

from collections.abc import Sequence


class ModelError(ValueError):
    """A model that cannot be used. path: the file or folder."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem


class UnknownModel(ModelError):
    """No family recognises the model. sought: what each family looks for."""

    def __init__(self, path: str, sought: Sequence[str]) -> None:
        super().__init__(path, "not a model this version can read. It looks for " + "; or ".join(sought) + ".")
        self.sought = tuple(sought)


class BrokenModel(ModelError):
    """A model of a known family whose files are damaged, incomplete or of unexpected shape."""


class MissingTensors(BrokenModel):
    """names: the tensors that the network needs and the file lacks."""

    def __init__(self, path: str, network: str, names: Sequence[str]) -> None:
        shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        super().__init__(path, f"the {network} lacks {len(names)} tensors: {shown}.")
        self.names = tuple(names)


class NotPrompted(ModelError):
    """A prompt for a model that reads none. told: what it is told instead: "a class" or "nothing"."""

    def __init__(self, path: str, told: str) -> None:
        super().__init__(path, f"this model reads no prompts: it is told {told}.")
        self.node = "diffusion/class_label" if told == "a class" else "diffusion/unconditional"
