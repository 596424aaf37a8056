"""What can be wrong with a model on disk, worded for the person who chose it."""

from collections.abc import Sequence


class ModelError(ValueError):
    """A model that cannot be used. path: the file or folder."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem


class UnknownModel(ModelError):
    """No family recognises the model. sought: what each family looks for; nearest: what the model is, if that is known."""

    def __init__(self, path: str, sought: Sequence[str], nearest: str | None = None) -> None:
        about = nearest or f"It looks for {'; or '.join(sought)}."
        super().__init__(path, f"not a model this version can read. {about}")
        self.sought = tuple(sought)
        self.nearest = nearest


class BrokenModel(ModelError):
    """A model of a known family whose files are damaged, incomplete or of unexpected shape."""


class UndecidedFamily(ModelError):
    """A part of a model whose files do not tell what it belongs to. hint: how to decide."""

    def __init__(self, path: str, problem: str, hint: str) -> None:
        super().__init__(path, problem)
        self.hint = hint


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
