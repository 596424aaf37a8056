"""The core pack: numbers, text, choices, lists, and what shows them. Pure Python, no torch.

A node whose input is linked to a list runs once per item by itself; `map` is for several nodes per item.
"""

from nodegraph_nodes.core.ask import ask, choose
from nodegraph_nodes.core.iteration import fold, map, while_
from nodegraph_nodes.core.lists import list_item, list_length, make_list, number_range, seed_list
from nodegraph_nodes.core.logic import compare, logic, switch
from nodegraph_nodes.core.numbers import boolean, calculate, calculate_whole, integer, number, round_number
from nodegraph_nodes.core.show import make_table, plot_numbers, show_plot, show_table, show_text
from nodegraph_nodes.core.text import format_text, join_text, replace_text, split_lines, text
from nodegraph_nodes.core.wildcards import load_wildcards, wildcards

__all__ = [
    "ask",
    "boolean",
    "calculate",
    "calculate_whole",
    "choose",
    "compare",
    "fold",
    "format_text",
    "integer",
    "join_text",
    "list_item",
    "list_length",
    "load_wildcards",
    "logic",
    "make_list",
    "make_table",
    "map",
    "number",
    "number_range",
    "plot_numbers",
    "replace_text",
    "round_number",
    "seed_list",
    "show_plot",
    "show_table",
    "show_text",
    "split_lines",
    "switch",
    "text",
    "while_",
    "wildcards",
]
