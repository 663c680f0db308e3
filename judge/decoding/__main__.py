"""`python -m judge.decoding`: for `judge.media` only, which talks to it through its standard input and output."""

from judge.decoding.child import main

main()
