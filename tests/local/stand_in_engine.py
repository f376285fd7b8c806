"""An engine whose worker and store owner are stand-ins: the supervisor as `ensure` starts it.

STAND_INS in the environment is a JSON object, name -> Python source; without it two processes
that sleep.
"""

import json
import os
import sys

from crp.local.__main__ import main
from crp.local.children import Child
from crp.local.state import EngineState

SLEEP = "import time\nwhile True: time.sleep(60)"


def stand_ins(state: EngineState) -> list[Child]:
    sources = json.loads(os.environ.get("STAND_INS", "null")) or {"worker": SLEEP, "store": SLEEP}
    return [Child(name, (sys.executable, "-c", code)) for name, code in sources.items()]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], workers=stand_ins))
