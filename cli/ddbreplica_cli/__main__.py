"""`python -m ddbreplica_cli` is the `ddbreplica` command."""

from ddbreplica_cli.app import main

if __name__ == "__main__":
    main(prog_name="ddbreplica")
