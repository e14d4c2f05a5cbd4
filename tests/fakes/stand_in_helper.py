"""A helper process that does what the operation asks.

`echo` answers with the body, `die` ends it, `garble` breaks the frames, `deafen` closes its input before it ends,
`hang` stops it from doing anything more.
"""

import os
import sys
import time

from pipeline_worker.engines.helper.frames import pack, read


def main() -> None:
    out = sys.stdout.buffer
    while frame := read(sys.stdin.buffer):
        channel = {"channel": frame.header["channel"]}
        match frame.header["op"]:
            case "echo":
                out.write(pack({**channel, "pid": os.getpid()}, frame.body))
            case "fail":
                out.write(pack({**channel, "error": "as you like", "code": "told_to"}))
            case "die":
                os._exit(3)
            case "deafen":
                os.close(0)
                time.sleep(1)
                os._exit(0)
            case "hang":
                time.sleep(600)
            case "garble":
                out.write(b"\xff" * 8)
        out.flush()


if __name__ == "__main__":
    main()
