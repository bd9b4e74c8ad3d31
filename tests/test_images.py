from __future__ import annotations

import io
import math
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from wilor_yolo.errors import ImageError
from wilor_yolo.images import exif_focal, from_pillow, picture_size, read_image

# Four flat quarters, RGB: survives JPEG, palettes and scaling to a few levels.
CORNERS = {"nw": (255, 0, 0), "ne": (0, 255, 0), "sw": (0, 0, 255), "se": (200, 200, 200)}


def quarters() -> Image.Image:
    """60 x 40 px, a colour a quarter."""
    array = np.zeros((40, 60, 3), np.uint8)
    array[:20, :30], array[:20, 30:] = CORNERS["nw"], CORNERS["ne"]
    array[20:, :30], array[20:, 30:] = CORNERS["sw"], CORNERS["se"]
    return Image.fromarray(array)


def corners(bgr: np.ndarray) -> list[list[int]]:
    """RGB values at the middles of nw, ne, sw, se."""
    h, w = bgr.shape[:2]
    rgb = bgr[..., ::-1].astype(int)
    return [rgb[y, x].tolist() for y in (h // 4, 3 * h // 4) for x in (w // 4, 3 * w // 4)]


def assert_quarters(bgr: np.ndarray, tolerance: int = 4) -> None:
    assert bgr.shape == (40, 60, 3)
    assert bgr.dtype == np.uint8 and bgr.flags.c_contiguous
    np.testing.assert_allclose(corners(bgr), list(CORNERS.values()), atol=tolerance)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.png", {}),
        ("a.jpg", {"quality": 95, "subsampling": 0}),
        ("progressive.jpg", {"quality": 95, "subsampling": 0, "progressive": True}),
        ("a.webp", {"lossless": True}),
        ("a.tif", {}),
        ("a.bmp", {}),
        ("a.ppm", {}),
        ("a b é 手.png", {}),
    ],
)
def test_colour_formats(tmp_path: Path, name: str, options: dict) -> None:
    quarters().save(tmp_path / name, **options)
    assert_quarters(read_image(tmp_path / name))
    assert_quarters(read_image(str(tmp_path / name)))


def test_palette_and_gif(tmp_path: Path) -> None:
    adaptive = quarters().convert("P", palette=Image.Palette.ADAPTIVE)
    for name in ("a.png", "a.gif"):
        adaptive.save(tmp_path / name)
        assert_quarters(read_image(tmp_path / name))


def test_cmyk(tmp_path: Path) -> None:
    quarters().convert("CMYK").save(tmp_path / "a.jpg", quality=98)
    assert_quarters(read_image(tmp_path / "a.jpg"), tolerance=12)
    quarters().convert("CMYK").save(tmp_path / "a.tif")
    assert_quarters(read_image(tmp_path / "a.tif"))


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif"])
def test_grey(tmp_path: Path, name: str) -> None:
    quarters().convert("L").save(tmp_path / name)
    image = read_image(tmp_path / name)
    assert image.shape == (40, 60, 3)
    np.testing.assert_allclose(corners(image), [[76] * 3, [150] * 3, [29] * 3, [200] * 3], atol=3)


def test_black_and_white(tmp_path: Path) -> None:
    bits = Image.fromarray(np.array([[0, 255], [255, 0]], np.uint8)).convert("1")
    bits.save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png")[..., 0].tolist() == [[0, 255], [255, 0]]


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_16_bit_colour(tmp_path: Path, name: str) -> None:
    cv2.imwrite(str(tmp_path / name), np.array(quarters())[..., ::-1].astype(np.uint16) * 257)
    assert_quarters(read_image(tmp_path / name))


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_16_bit_grey(tmp_path: Path, name: str) -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    Image.fromarray(ramp).save(tmp_path / name)
    np.testing.assert_allclose(read_image(tmp_path / name)[..., 1], ramp // 256, atol=1)
    as_pillow = from_pillow(Image.open(tmp_path / name))
    np.testing.assert_allclose(as_pillow[..., 1], ramp // 256, atol=1)


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    picture = quarters().convert("RGBA")
    alpha = np.full((40, 60), 255, np.uint8)
    alpha[:20, :30], alpha[:20, 30:] = 0, 128
    picture.putalpha(Image.fromarray(alpha))
    picture.save(tmp_path / "a.png")
    np.testing.assert_allclose(
        corners(read_image(tmp_path / "a.png")),
        [[255, 255, 255], [127, 255, 127], [0, 0, 255], [200, 200, 200]],
        atol=1,
    )
    with Image.open(tmp_path / "a.png") as same:
        np.testing.assert_array_equal(from_pillow(same), read_image(tmp_path / "a.png"))
    Image.new("LA", (5, 5), (0, 0)).save(tmp_path / "grey.png")
    assert (read_image(tmp_path / "grey.png") == 255).all()
    opaque = quarters().convert("RGBA")
    opaque.save(tmp_path / "opaque.png")
    assert_quarters(read_image(tmp_path / "opaque.png"))


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation(tmp_path: Path, orientation: int, suffix: str) -> None:
    # Store the picture as a camera held that way would; reading must give back the upright one.
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = quarters()
    if orientation in undo:
        stored = stored.transpose(undo[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / f"a.{suffix}", exif=exif, quality=98)
    assert_quarters(read_image(tmp_path / f"a.{suffix}"), tolerance=12)
    assert picture_size(tmp_path / f"a.{suffix}") == (60, 40)
    assert_quarters(from_pillow(Image.open(tmp_path / f"a.{suffix}")), tolerance=12)


def test_smallest_and_widest(tmp_path: Path) -> None:
    Image.new("RGB", (1, 1), (9, 8, 7)).save(tmp_path / "one.png")
    assert read_image(tmp_path / "one.png").tolist() == [[[7, 8, 9]]]
    Image.new("RGB", (20_000, 30), (1, 2, 3)).save(tmp_path / "wide.jpg")
    assert read_image(tmp_path / "wide.jpg").shape == (30, 20_000, 3)
    assert picture_size(tmp_path / "wide.jpg") == (20_000, 30)
    (tmp_path / "no.jpg").write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"no picture we can read; save it as JPEG or PNG\.$"):
        picture_size(tmp_path / "no.jpg")
    (tmp_path / "no.jpg").rename(tmp_path / "clip")
    with pytest.raises(ImageError, match=r"JPEG or PNG, or give a video its ending\.$"):
        read_image(tmp_path / "clip")


def _noise(format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    Image.fromarray(noise).save(buffer, format, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("share", [0.05, 0.5, 0.98])
@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("WEBP", {}),
        ("TIFF", {}),
        ("BMP", {}),
        ("GIF", {}),
    ],
)
def test_cut_off_files_are_refused(
    tmp_path: Path, format: str, options: dict, share: float
) -> None:
    data = _noise(format, **options)
    path = tmp_path / f"cut.{format.lower()}"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ImageError, match=r"cut\.\w+ (is cut off|is damaged)") as caught:
        read_image(path)
    assert "\n" not in str(caught.value)


def test_thumbnail_does_not_pass_for_the_end(tmp_path: Path) -> None:
    """A JPEG cut off behind its EXIF thumbnail, which has an end marker of its own."""
    data = _noise("JPEG")
    thumbnail = b"Exif\x00\x00" + _noise("JPEG")[:20_000]
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    path = tmp_path / "cut.jpg"
    path.write_bytes(data[:2] + segment + data[2:])
    assert read_image(path).shape == (60, 80, 3)
    path.write_bytes((data[:2] + segment + data[2:])[:-400])
    with pytest.raises(ImageError, match="cut off"):
        read_image(path)


def test_bytes_behind_the_end_do_no_harm(tmp_path: Path) -> None:
    """Phones append videos to their JPEG files."""
    path = tmp_path / "motion.jpg"
    path.write_bytes(_noise("JPEG") + b"\x00ftypmp42" * 500)
    assert read_image(path).shape == (60, 80, 3)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("zero.jpg", b"", r"zero\.jpg is empty \(0 bytes\); copy or download it again"),
        ("text.jpg", b"not a picture at all" * 9, r"text\.jpg is damaged or no picture"),
        ("head.png", b"\x89PNG\r\n\x1a\n", r"head\.png is damaged or no picture"),
    ],
)
def test_no_picture(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError, match=message):
        read_image(tmp_path / name)


def test_missing_folder_and_forbidden(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"gone\.jpg does not exist"):
        read_image(tmp_path / "gone.jpg")
    with pytest.raises(ImageError, match="is a folder"):
        read_image(tmp_path)
    secret = tmp_path / "secret.png"
    quarters().save(secret)
    secret.chmod(0)
    if os.access(secret, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(ImageError, match=r"secret\.png cannot be read: Permission denied"):
        read_image(secret)


def test_float_samples_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.ones((4, 4), np.float32)).save(tmp_path / "depth.tif")
    with pytest.raises(ImageError, match=r"depth\.tif holds 32-bit samples"):
        read_image(tmp_path / "depth.tif")


def test_a_pillow_picture_of_unknown_range_is_refused() -> None:
    for mode in ("I", "F"):
        with pytest.raises(ImageError, match="the picture holds 32-bit samples"):
            from_pillow(Image.new(mode, (5, 5)))


def test_bomb_is_refused_before_it_is_decoded(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        checksum = zlib.crc32(kind + body).to_bytes(4, "big")
        return len(body).to_bytes(4, "big") + kind + body + checksum

    header = (60_000).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    path = tmp_path / "bomb.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )
    with pytest.raises(ImageError, match=r"bomb\.png has more than 178 million pixels; scale"):
        read_image(path)
    assert not recwarn.list


# --- focal length ---------------------------------------------------------------------------


def _with_exif(path: Path, size: tuple[int, int], tags: dict[int, object], turn: int = 1) -> Path:
    exif = Image.Exif()
    exif[0x0112] = turn
    exif.get_ifd(0x8769).update(tags)
    Image.new("RGB", size).save(path, exif=exif)
    return path


def test_focal_of_a_35mm_equivalent(tmp_path: Path) -> None:
    path = _with_exif(tmp_path / "a.jpg", (36, 24), {0xA405: 50})
    # On a 36 x 24 px picture of a full frame camera a pixel is a millimetre.
    assert exif_focal(path, 36, 24) == pytest.approx(50)
    assert exif_focal(path, 3600, 2400) == pytest.approx(5000)


def test_focal_does_not_turn_with_the_picture(tmp_path: Path) -> None:
    path = _with_exif(tmp_path / "a.jpg", (40, 30), {0xA405: 26}, turn=6)
    image = read_image(path)
    assert image.shape[:2] == (40, 30)
    focal = exif_focal(path, image.shape[1], image.shape[0])
    assert focal == exif_focal(path, 40, 30)
    assert focal == pytest.approx(26 * 50 / math.hypot(36, 24))


def test_focal_from_the_sensor(tmp_path: Path) -> None:
    # 5 mm lens, 200 px a millimetre (5080 an inch), 4000 x 3000 px: 1000 px.
    tags = {0x920A: 5.0, 0xA20E: 5080.0, 0xA210: 2, 0xA002: 4000, 0xA003: 3000}
    path = _with_exif(tmp_path / "a.jpg", (40, 30), tags)
    assert exif_focal(path, 4000, 3000) == pytest.approx(1000)
    assert exif_focal(path, 3000, 4000) == pytest.approx(1000)
    assert exif_focal(path, 1000, 750) == pytest.approx(250)  # scaled down since
    tags[0xA20E], tags[0xA210] = 2000.0, 3  # the same in centimetres
    path = _with_exif(tmp_path / "b.jpg", (40, 30), tags)
    assert exif_focal(path, 4000, 3000) == pytest.approx(1000)


def test_focal_of_a_cropped_picture_is_unknown(tmp_path: Path) -> None:
    path = _with_exif(tmp_path / "a.jpg", (40, 40), {0xA405: 26, 0xA002: 4000, 0xA003: 3000})
    assert exif_focal(path, 3000, 3000) is None


@pytest.mark.parametrize(
    "tags", [{}, {0xA405: 0}, {0xA405: 65535}, {0x920A: 5.0}, {0x920A: 5.0, 0xA20E: 0.0}]
)
def test_no_or_broken_focal_tags(tmp_path: Path, tags: dict[int, object]) -> None:
    assert exif_focal(_with_exif(tmp_path / "a.jpg", (40, 30), tags), 40, 30) is None


def test_focal_of_no_picture(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"\x00\x00\x00 ftypisom" * 10)
    (tmp_path / "b.jpg").write_bytes(b"\xff\xd8\xff\xe1\xff\xffExif\x00\x00garbage")
    for name in ("a.mp4", "b.jpg", "gone.jpg", "."):
        assert exif_focal(tmp_path / name, 40, 30) is None
