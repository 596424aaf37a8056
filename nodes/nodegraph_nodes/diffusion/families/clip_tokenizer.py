"""CLIP's byte-pair tokenizer from its published vocabulary file, without a hub.

bpe_simple_vocab_16e6.txt.gz is the beginning of the file OpenAI published with CLIP, from the open_clip_torch 3.3.0 wheel (MIT;
licence text beside it). Lines: a version, then one merge per line. CLIP uses the first 48,894 of 262,144; the rest is left out.
"""

import gzip
from pathlib import Path
from typing import Any

_VOCABULARY = Path(__file__).with_name("bpe_simple_vocab_16e6.txt.gz")
_MERGES = 48_894
_MARKS = ("<|startoftext|>", "<|endoftext|>")


def clip_tokenizer(length: int = 77, pad: str = "<|endoftext|>") -> Any:
    """A transformers CLIPTokenizer with CLIP's own ids: start 49406, end 49407. pad: OpenCLIP's towers have "!", id 0."""
    from transformers import CLIPTokenizer

    letters = byte_letters()
    lines = gzip.decompress(_VOCABULARY.read_bytes()).decode("utf-8").split("\n")
    merges = [tuple(line.split()) for line in lines[1 : 1 + _MERGES]]
    tokens = [*letters, *(letter + "</w>" for letter in letters), *("".join(merge) for merge in merges), *_MARKS]
    ids = {token: index for index, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=ids, merges=merges, model_max_length=length, pad_token=pad)


def byte_letters() -> list[str]:
    """One printable letter per byte, in the order of CLIP's ids: printable bytes come first, as themselves."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + index) for index in range(len(rest))]
