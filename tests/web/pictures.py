"""Makes README's pictures of the page: `python -m tests.web.pictures [FOLDER]`."""

from __future__ import annotations

import base64
import struct
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Browser

from tests.chromium import DESK, PHONE, open_browser
from tests.web.browsing import opened, ready
from tests.web.household import furnish, house_with_a_card
from tests.web.sites import PASSWORD, USER, open_site

PICTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "queue": ("/", {"viewport": DESK, "color_scheme": "light"}),
    "job": ("/jobs/1", {"viewport": DESK, "color_scheme": "dark"}),
    "library-phone": ("/library", {"viewport": PHONE, "color_scheme": "light"}),
}
COLOURS = 128
FOLDER = Path("/media/videos")
"""What the pictures show for the scratch library."""


def make_pictures(folder: Path) -> list[Path]:
    """Write the pictures, and return where they are."""
    made = []
    with (
        tempfile.TemporaryDirectory() as scratch,
        open_site(Path(scratch), house_with_a_card()) as site,
        open_browser() as browser,
    ):
        furnish(site.shop)
        site.desk.settings = site.desk.settings.model_copy(update={"videos_dir": FOLDER})
        for name, (path, options) in PICTURES.items():
            with opened(browser, site.url, USER, PASSWORD, **options) as page:
                page.goto(path)
                picture = _with_few_colours(_dots(browser, ready(page).screenshot()))
            made.append(folder / f"{name}.png")
            made[-1].write_bytes(picture)
    return made


def _dots(browser: Browser, picture: bytes) -> NDArray[np.int32]:
    """Return a picture's red, green and blue (height x width x 3), as the browser decodes it."""
    page = browser.new_page()
    data = base64.b64encode(picture).decode()
    raw = base64.b64decode(page.evaluate(_DECODE, f"data:image/png;base64,{data}"))
    page.close()
    width, height = struct.unpack(">II", picture[16:24])
    return np.frombuffer(raw, np.uint8).reshape(height, width, 4)[..., :3].astype(np.int32)


_DECODE = """async source => {
    const image = new Image();
    image.src = source;
    await image.decode();
    const drawn = new OffscreenCanvas(image.width, image.height).getContext("2d");
    drawn.drawImage(image, 0, 0);
    const dots = drawn.getImageData(0, 0, image.width, image.height).data;
    let text = "";
    for (let at = 0; at < dots.length; at += 8192)
        text += String.fromCharCode(...dots.subarray(at, at + 8192));
    return btoa(text);
}"""


def _with_few_colours(dots: NDArray[np.int32]) -> bytes:
    """Return a PNG with a palette (https://www.w3.org/TR/png-3/) of the commonest colours."""
    height, width, _ = dots.shape
    found, places, counts = np.unique(
        dots.reshape(-1, 3), axis=0, return_inverse=True, return_counts=True
    )
    palette = found[np.argsort(-counts)[:COLOURS]]
    nearest = ((found[:, None] - palette[None]) ** 2).sum(axis=2).argmin(axis=1)
    indices = nearest[places].astype(np.uint8).reshape(height, width)
    rows = np.pad(indices, ((0, 0), (1, 0))).tobytes()  # each row begins with its filter: none
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    pieces = (
        (b"IHDR", head),
        (b"PLTE", palette.astype(np.uint8).tobytes()),
        (b"IDAT", zlib.compress(rows, 9)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(_piece(*piece) for piece in pieces)


def _piece(name: bytes, data: bytes) -> bytes:
    checked = name + data
    return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))


if __name__ == "__main__":
    where = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("docs/pictures")
    where.mkdir(parents=True, exist_ok=True)
    for picture in make_pictures(where):
        sys.stdout.write(f"{picture}: {picture.stat().st_size / 1000:.0f} kB\n")
