"""What Streamlit runs for each visitor and each change: `script.py GATEWAY [KEY_FILE]`."""

import sys
from pathlib import Path

from serving.web import page
from serving.web.gateway import Gateway

_url, *_key_files = sys.argv[1:]
page.show(Gateway(_url, ''.join(Path(file).read_text().strip() for file in _key_files)))
