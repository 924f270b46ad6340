"""Telemetry of the libraries that embed: off, before they are imported.

ONNX Runtime reports each process and session to its maker, and keeps a device identifier in the
user's folder. Its switch is an environment variable that it reads once, while it is imported; its
function `disable_telemetry_events` alone comes too late for the first report.
"""

import os
import sys

OFF = {
    # ONNX Runtime: the name that counts, and the one of earlier builds.
    "ORT_DISABLE_TELEMETRY": "1",
    "ORT_TELEMETRY_DISABLED": "1",
    # The hub that sentence-transformers and fastembed download a model from.
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
"""Environment variables of this process that turn telemetry off."""


def turn_off_telemetry() -> None:
    """Turn off the telemetry of ONNX Runtime and of the model hub in this process.

    Call it before importing either. If a program has imported ONNX Runtime by itself before, its
    later reports end here.
    """
    os.environ.update(OFF)
    imported = sys.modules.get("onnxruntime")
    disable = getattr(imported, "disable_telemetry_events", None)
    if disable is not None:
        disable()
