#!/usr/bin/env python3
"""Opens every step of an atlas in headless Chromium, at 1,200 and 400 pixels: `scripts/check_atlas.py atlas.html`.

Fails if a step does not open, if the page is wider than its window, if the arrow keys do not move, or if anything is printed
on the console. CHROMIUM names the browser, else it is looked for (Debian: chromium).
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

page = Path(sys.argv[1]).resolve()
browser = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
if browser is None:
    sys.exit("no Chromium: install it, or name one in CHROMIUM")
for width in 1200, 400:
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", f"--window-size={width},1000",
               "--virtual-time-budget=60000", "--dump-dom", f"{page.as_uri()}#check"]
    found = subprocess.run([browser, *options], capture_output=True, text=True, timeout=300)
    values = dict(re.findall(r'data-(opened|wide|steps|at)="(\d+)"', found.stdout.split("<header", 1)[0]))
    messages = [line for line in found.stderr.splitlines() if "CONSOLE" in line]
    right = values.get("steps") not in (None, "0") and values["opened"] == values["steps"]
    if not right or values["wide"] != "0" or values["at"] != "1" or messages:
        sys.exit(f"{width} pixels: {values}\n" + "\n".join(messages))
    print(f"{width} pixels: {values['opened']} steps opened, none wider than the window, nothing on the console")
