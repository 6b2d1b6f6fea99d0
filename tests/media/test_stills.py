import io
import itertools

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from wanprep.media import stills
from wanprep.media.probe import probe
from wanprep.media.read import open_video
from wanprep.media.write import psnr, write_png
from wanprep.stage import Reject


def reason(path, action=probe):
    with pytest.raises(Reject) as caught:
        action(path)
    return caught.value.reason


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.bmp", "a.tif"])
def test_each_format_reads_like_a_frame(name, tmp_path, footage):
    rgb = footage.numbered(5, 120, 80)
    options = {"quality": 98, "subsampling": 0} if name == "a.jpg" else {"lossless": True} if name == "a.webp" else {}
    Image.fromarray(rgb).save(tmp_path / name, **options)
    renamed = (tmp_path / name).rename(tmp_path / "clip.mp4")  # bytes decide, not names
    found = probe(renamed)
    assert (found.kind, found.width, found.height, found.start_pts) == ("image", 120, 80, 0)
    with open_video(renamed, found) as reader:
        (frame,) = reader.frames()
        assert list(reader.frames(1, None)) == []
    assert frame.pts == 0
    assert psnr(frame.rgb(120, 80), rgb) > (38 if name == "a.jpg" else 99)
    assert (frame.bgr(120, 80)[..., ::-1] == frame.rgb(120, 80)).all()
    assert frame.gray(60, 40).shape == (40, 60)
    assert (frame.rgb(50, 40, crop=(10, 20, 50, 40)) == frame.rgb(120, 80)[20:60, 10:60]).all()


def test_exif_orientation(tmp_path):
    rgb = np.zeros((40, 60, 3), np.uint8)
    rgb[:20, :30] = 255  # white top left
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise to view
    Image.fromarray(rgb).save(tmp_path / "a.jpg", exif=exif, quality=95)
    found = probe(tmp_path / "a.jpg")
    assert (found.width, found.height, found.coded_width) == (40, 60, 60)
    shown = stills.read_still(tmp_path / "a.jpg")
    assert shown.shape == (60, 40, 3)
    assert shown[:28, 22:].min() > 200  # now top right
    assert shown[:28, :18].max() < 50


def test_a_tiff_with_an_orientation_is_turned_once(tmp_path, footage):
    rgb = footage.numbered(9, 120, 80)
    Image.fromarray(np.ascontiguousarray(np.rot90(rgb))).save(tmp_path / "a.tif", tiffinfo={0x0112: 6})
    found = probe(tmp_path / "a.tif")
    assert (found.width, found.height, found.coded_width) == (120, 80, 80)
    assert (stills.read_still(tmp_path / "a.tif") == rgb).all()


def test_alpha_palette_and_sixteen_bits(tmp_path):
    Image.new("RGBA", (8, 8), (255, 255, 255, 128)).save(tmp_path / "alpha.png")
    Image.new("P", (8, 8), 0).save(tmp_path / "palette.png", transparency=0)
    Image.fromarray(np.full((8, 8), 257 * 100, np.uint16)).save(tmp_path / "deep.png")
    Image.new("L", (8, 8), 77).save(tmp_path / "gray.png")
    levels = [int(stills.read_still(tmp_path / f"{n}.png")[0, 0, 0]) for n in ("alpha", "palette", "deep", "gray")]
    assert levels == [128, 0, 100, 77]
    assert probe(tmp_path / "alpha.png").alpha
    assert probe(tmp_path / "deep.png").bit_depth == 16


def test_an_animation_gives_its_first_frame(tmp_path):
    parts = [Image.new("RGB", (16, 16), c) for c in ("red", "blue", "green")]
    parts[0].save(tmp_path / "a.webp", save_all=True, append_images=parts[1:], lossless=True)
    assert stills.read_still(tmp_path / "a.webp")[0, 0].tolist() == [255, 0, 0]


def test_an_embedded_profile_is_honoured_and_a_broken_one_ignored(tmp_path):
    image = Image.new("RGB", (8, 8), (200, 60, 60))
    swapped = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image.save(tmp_path / "srgb.png", icc_profile=swapped)
    image.save(tmp_path / "broken.png", icc_profile=b"nonsense")
    assert np.abs(stills.read_still(tmp_path / "srgb.png")[0, 0].astype(int) - (200, 60, 60)).max() <= 1
    assert stills.read_still(tmp_path / "broken.png")[0, 0].tolist() == [200, 60, 60]


def test_broken_and_huge_pictures_are_refused(tmp_path, monkeypatch, footage):
    whole = io.BytesIO()
    Image.fromarray(footage.numbered(1, 200, 200)).save(whole, format="PNG")
    (tmp_path / "cut.png").write_bytes(whole.getvalue()[:1500])
    (tmp_path / "head.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 40)
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + b"\0" * 60)
    (tmp_path / "a.psd").write_bytes(b"8BPS" + b"\0" * 60)
    assert reason(tmp_path / "cut.png", stills.read_still) == "unreadable"
    assert reason(tmp_path / "cut.png") == "unreadable"  # and not a failure of this machine, tried again for ever
    assert reason(tmp_path / "head.png") == "unreadable"
    assert reason(tmp_path / "a.heic") == "unsupported_image"
    assert reason(tmp_path / "a.psd") == "unsupported_image"
    bomb = bytearray(whole.getvalue())
    for at, value in itertools.chain(zip(range(16, 20), (0, 0, 0x40, 0)), zip(range(20, 24), (0, 0, 0x40, 0))):
        bomb[at] = value  # the header claims 16384x16384
    import zlib

    bomb[29:33] = zlib.crc32(bytes(bomb[12:29])).to_bytes(4, "big")
    (tmp_path / "bomb.png").write_bytes(bomb)
    assert reason(tmp_path / "bomb.png") == "image_too_large"
    monkeypatch.setattr(stills, "MAX_BYTES", 100)
    assert reason(tmp_path / "cut.png") == "image_too_large"


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_cut_animation_says_so(tmp_path, footage, share):
    pictures = [Image.fromarray(footage.numbered(k, 120, 80)) for k in range(6)]
    pictures[0].save(tmp_path / "a.webp", save_all=True, append_images=pictures[1:], duration=100)
    data = (tmp_path / "a.webp").read_bytes()
    (tmp_path / "a.webp").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(Reject, match="cut off or damaged") as refused:
        probe(tmp_path / "a.webp")
    assert refused.value.reason == "unreadable"


def test_a_compressed_text_bomb_is_refused_not_raised(tmp_path):
    info = PngImagePlugin.PngInfo()
    info.add_text("comment", "x" * 80_000_000, zip=True)
    Image.new("RGB", (4, 4)).save(tmp_path / "text.png", pnginfo=info)
    assert reason(tmp_path / "text.png") == "unreadable"


def test_png_round_trip_is_exact_and_repeatable(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    first = write_png(tmp_path / "a.png", rgb)
    assert (stills.read_still(tmp_path / "a.png") == rgb).all()
    assert write_png(tmp_path / "b.png", rgb[:, ::-1][:, ::-1]).digest == first.digest
    assert first.bytes == (tmp_path / "a.png").stat().st_size
    with pytest.raises(ValueError, match="uint8"):
        write_png(tmp_path / "c.png", rgb.astype(np.float32))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.png"]
