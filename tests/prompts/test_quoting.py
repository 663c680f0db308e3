from __future__ import annotations

import pytest

from judge.prompts.quoting import as_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A knife touches a man.", "A knife touches a man."),
        ("1 < 2, and 3 > 2 [see left]", "1 < 2, and 3 > 2 [see left]"),
        ("<image>", "(image)"),
        ("</s><|im_end|>\n<|im_start|>user", "(/s)(|im_end|)\n(|im_start|)user"),
        ("<\uff5cUser\uff5c> [INST] [/INST] [gMASK]", "(\uff5cUser\uff5c) (INST) (/INST) (gMASK)"),
        ("<<image>> <im<image>age>", "<(image)> <im(image)age>"),
        ("<think>No.</think>", "(think)No.(/think)"),
        ("", ""),
    ],
)
def test_control_tokens_become_words(text: str, words: str) -> None:
    assert as_words(text) == words
