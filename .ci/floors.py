"""Fails where a figure of the scorer is under its floor: floors.py FOLDER."""

import json
import sys
from pathlib import Path

FLOORS = {
    "errors": {"strict": 97, "lenient": 99, "retryable": 99, "message": 95, "envelope": 100, "status": 100},
    "unverified": {"strict": 93},
}

folder = Path(sys.argv[1])
failed = []
for name, floors in FLOORS.items():
    figures = json.loads((folder / f"{name}.json").read_text())["errors"]
    failed += [f"{name}: {key} {figures[key]} < {floor}" for key, floor in floors.items() if figures[key] < floor]
    found, of = figures["retry_after"].split("/")
    if name == "errors" and found != of:
        failed.append(f"{name}: retry hints {found} of {of}")
    if figures["crash"]:
        failed.append(f"{name}: {figures['crash']} crashes")
for file in sorted(folder.glob("streams-*.json")):
    figures = json.loads(file.read_text())["streams"]
    if figures["ok"] != figures["n"]:
        failed.append(f"{file.stem}: {figures['ok']} of {figures['n']} streams")
print("\n".join(failed) or "every figure is over its floor")
sys.exit(bool(failed))
