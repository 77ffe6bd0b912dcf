"""`python -m minidistil VERB ...`: the command line, for where no script is installed (torchrun)."""

from minidistil.cli import main

main()
