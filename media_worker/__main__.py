"""`python -m media_worker`: terminates WebRTC for the callers that gateways place here."""

import sys

from media_worker.settings import MediaSettings
from media_worker.worker import serve
from shared.io.service import run_service

if __name__ == "__main__":
    sys.exit(run_service("media_worker", __doc__ or "", MediaSettings, serve))
