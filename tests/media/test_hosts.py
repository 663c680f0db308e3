import pytest

from judge.media.hosts import host_allowed


@pytest.mark.parametrize(
    ("host", "patterns", "allowed"),
    [
        ("a.example", ["a.example"], True),
        ("A.Example.", ["a.example"], True),
        ("a.example", ["A.EXAMPLE."], True),
        ("b.example", ["a.example", "b.example"], True),
        ("a.example", [], False),
        ("", ["*"], False),
        ("a.example", [""], False),
        ("xa.example", ["a.example"], False),
        ("a.example.evil", ["a.example"], False),
        ("x.a.example", ["a.example"], False),
        ("x.a.example", ["*.a.example"], True),
        ("y.x.a.example", ["*.a.example"], True),
        ("a.example", ["*.a.example"], False),
        (".a.example", ["*.a.example"], False),
        ("xa.example", ["*.a.example"], False),
        ("anything", ["*"], True),
        ("10.0.0.1", ["*.0.0.1"], True),
        ("aXexample", ["a.example"], False),
    ],
)
def test_a_host_is_on_the_list(host: str, patterns: list[str], allowed: bool) -> None:
    assert host_allowed(host, patterns) is allowed
