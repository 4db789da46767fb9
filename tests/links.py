"""Ask every address that lessons and pages name whether it is there: python tests/links.py (needs a network)."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXTS = [*ROOT.glob("*.md"), *(ROOT / "lessons").glob("*.*"), *(ROOT / "medkit").glob("*.toml")]
ADDRESS = re.compile(r"https?://[^\s\"'`<>\\|]+")


def addresses():
    """Give every address in the texts: {address: file}. A closing bracket without its opening one is not part of it."""
    found = {}
    for path in TEXTS:
        for url in ADDRESS.findall(path.read_text(encoding="utf-8")):
            while url and (url[-1] in ".,;:*]" or (url[-1] == ")" and url.count(")") > url.count("("))):
                url = url[:-1]
            found.setdefault(url, path.relative_to(ROOT))
    return found


def main():
    """Print the addresses that do not answer; exit 1 if there is one."""
    import requests

    bad = 0
    for url, path in addresses().items():
        if re.search(r"localhost|127\.0\.0\.1|[A-Z]{4}|\{", url.split("doi.org")[0]):  # a form to fill in
            continue
        try:
            status = requests.get(url, timeout=20, stream=True, headers={"User-Agent": "Mozilla/5.0"}).status_code
        except requests.RequestException as error:
            status = type(error).__name__
        if status not in (200, 202, 403):  # some publishers refuse programs, which shows that they are there
            bad += 1
            print(f"{path}: {url} ({status})")
    print(f"{bad} addresses did not answer")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
