"""Check configuration files before Snakemake reads them: it answers some faults with a traceback, this with a sentence.

Usage: python scripts/check_config.py FILE ...
"""

import sys

sys.path.insert(0, __file__.rpartition("/")[0])  # python -P and -I leave it out

from pipeline.config import ConfigError, load_config

if __name__ == "__main__":
    try:
        load_config(sys.argv[1:])
    except ConfigError as fault:
        sys.exit(str(fault))
