import argparse

SUMMARY = DESCRIPTION = EXAMPLES = "draft"


def add_arguments(parser: argparse.ArgumentParser) -> None: ...
def run(arguments):
    return 1
