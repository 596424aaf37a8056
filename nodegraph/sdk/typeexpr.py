"""Type expressions: what a socket accepts or gives, as data: a small tree of six kinds, with a printed and a JSON form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["value", "socket", "list", "optional", "union", "var"]


@dataclass(frozen=True, slots=True)
class TypeExpr:
    """One node of a type expression.

    `value` and `socket` carry a name (`int`, `Image`), `var` its variable's name; `list` and `optional` have one
    argument, `union` two or more.
    """

    kind: Kind
    name: str = ""
    args: tuple[TypeExpr, ...] = ()

    def __str__(self) -> str:
        match self.kind:
            case "list":
                return f"list[{self.args[0]}]"
            case "optional":
                return f"{self.args[0]} or nothing"
            case "union":
                return " | ".join(map(str, self.args))
            case _:
                return self.name

    @property
    def item(self) -> TypeExpr:
        """What a `list` or `optional` holds."""
        return self.args[0]

    @property
    def is_json(self) -> bool:
        """Whether every value of this type is JSON (so that it may be typed into a document)."""
        if self.kind == "value":
            return True
        return self.kind in ("list", "optional", "union") and all(arg.is_json for arg in self.args)

    def has_var(self) -> bool:
        return self.kind == "var" or any(arg.has_var() for arg in self.args)

    def holds(self, name: str) -> bool:
        """Whether this is the value type of that name, or has it inside."""
        return (self.kind == "value" and self.name == name) or any(arg.holds(name) for arg in self.args)

    def to_json(self) -> dict[str, Any]:
        match self.kind:
            case "list" | "optional":
                return {self.kind: self.args[0].to_json()}
            case "union":
                return {"union": [arg.to_json() for arg in self.args]}
            case _:
                return {self.kind: self.name}

    @staticmethod
    def from_json(data: dict[str, Any]) -> TypeExpr:
        ((kind, body),) = data.items()
        if kind in ("list", "optional"):
            return TypeExpr(kind, args=(TypeExpr.from_json(body),))  # type: ignore[arg-type]
        if kind == "union":
            return TypeExpr("union", args=tuple(TypeExpr.from_json(arg) for arg in body))
        return TypeExpr(kind, body)  # type: ignore[arg-type]


def value(name: str) -> TypeExpr:
    return TypeExpr("value", name)


def socket_type(name: str) -> TypeExpr:
    return TypeExpr("socket", name)


def var(name: str) -> TypeExpr:
    return TypeExpr("var", name)


def list_of(item: TypeExpr) -> TypeExpr:
    return TypeExpr("list", args=(item,))


def optional(item: TypeExpr) -> TypeExpr:
    return item if item.kind == "optional" else TypeExpr("optional", args=(item,))


def union(*members: TypeExpr) -> TypeExpr:
    return members[0] if len(members) == 1 else TypeExpr("union", args=members)
