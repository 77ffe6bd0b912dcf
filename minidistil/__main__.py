"""`python -m minidistil VERB ...`: the command line, where no script is installed (torchrun)."""

from minidistil.cli import main

main()
