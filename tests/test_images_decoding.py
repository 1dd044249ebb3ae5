"""One rule for each thing that an image file may be; damage is named, never guessed around."""

from __future__ import annotations

import struct
from zlib import compress, crc32

import numpy as np
import pytest
from image_files import encoded, picture, png_of_header
from PIL import Image

from dalle2eval.images.decoding import MAX_PIXELS, BadImage, check, decode


@pytest.mark.parametrize("kind", ["png", "webp"])
def test_lossless_pixels_come_back_unchanged(kind):
    np.testing.assert_array_equal(decode(encoded(picture(), kind, lossless=True)), picture())


def test_jpeg_is_read_as_pillow_reads_it():
    content = encoded(picture(), "jpeg", quality=90)
    assert np.abs(decode(content).astype(int) - picture()).max() < 12


def test_grey_becomes_three_equal_channels():
    grey = picture()[..., 0]
    np.testing.assert_array_equal(decode(encoded(grey)), np.stack([grey] * 3, axis=-1))


def test_16_bit_grey_takes_the_high_byte_and_is_not_clipped_to_white():
    values = np.array([[0, 255, 256, 0x1234, 0xFFFF]], dtype=np.uint16)
    pixels = decode(encoded(Image.fromarray(values)))
    assert pixels[0, :, 0].tolist() == [0, 0, 1, 0x12, 0xFF]


def test_16_bit_colour_takes_the_high_byte_too():
    row = b"\0" + struct.pack(">6H", 0x1234, 0x00FF, 0xFFFF, 0x0100, 0x8000, 0x7FFF)
    pixels = decode(png_of_header(2, 1, bits=16, rows=row))
    assert pixels.tolist() == [[[0x12, 0, 0xFF], [1, 0x80, 0x7F]]]


def test_a_palette_gives_its_colours_and_not_its_indices():
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata([1, 0])
    assert decode(encoded(image)).tolist() == [[[200, 100, 50], [10, 20, 30]]]


def test_alpha_is_composited_on_white_and_hidden_colour_does_not_leak():
    pixels = np.array([[[255, 0, 0, 0], [255, 0, 0, 255], [0, 0, 0, 128]]], dtype=np.uint8)
    found = decode(encoded(Image.fromarray(pixels)))
    assert found[0, 0].tolist() == [255, 255, 255]
    assert found[0, 1].tolist() == [255, 0, 0]
    assert abs(int(found[0, 2, 0]) - 127) <= 1


def test_a_transparent_palette_colour_is_white_too():
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata([1, 0])
    content = encoded(image, transparency=0)
    assert decode(content).tolist() == [[[200, 100, 50], [255, 255, 255]]]


def test_cmyk_is_converted_and_not_inverted():
    content = encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "jpeg", quality=95)
    assert np.abs(decode(content)[4, 4].astype(int) - [255, 0, 0]).max() < 12


def test_exif_orientation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    content = encoded(Image.fromarray(picture()), "png", exif=exif)
    np.testing.assert_array_equal(decode(content), np.rot90(picture(), -1))


def test_content_counts_and_not_the_name():
    assert decode(encoded(picture(), "webp", lossless=True)).shape == (12, 20, 3)


BAD = {
    "empty": (b"", "empty"),
    "text": (b"<html>404</html>", "not a PNG"),
    "gif": (encoded(picture()[..., 0], "gif"), "not a PNG"),
    "bomb": (png_of_header(50_000, 50_000), "too large"),
    "small bomb": (png_of_header(8_193, 8_192), "at most 67,108,864"),
    "cut png": (encoded(picture(height=300))[:-40], "damaged or cut"),
    "half png": (encoded(picture(height=300))[:200], "damaged or cut"),
    "flipped byte": (encoded(picture()).replace(b"IDAT", b"IDAT\xff", 1), "damaged or cut"),
    "cut jpeg": (encoded(picture(height=300, width=300), "jpeg")[:-200], "cut"),
    "cut webp": (encoded(picture(height=300), "webp")[:-10], "cut|not a PNG"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_found_by_the_first_look(case):
    content, reason = BAD[case]
    with pytest.raises(BadImage, match=reason):
        check(content)


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_never_decoded_to_half_a_picture(case):
    with pytest.raises(BadImage):
        decode(BAD[case][0])


def test_good_files_pass_the_first_look():
    for kind in ("png", "jpeg", "webp"):
        check(encoded(picture(), kind))


def test_a_jpeg_with_a_thumbnail_cannot_hide_that_it_is_cut():
    thumbnail = encoded(picture(), "jpeg")
    exif = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 8) + b"Exif\0\0" + thumbnail
    whole = encoded(picture(height=200, width=200), "jpeg")
    with_thumbnail = whole[:2] + exif + whole[2:]
    check(with_thumbnail)
    with pytest.raises(BadImage, match="cut"):
        check(with_thumbnail[:-100])


def test_an_animation_is_refused_because_nobody_said_which_frame():
    frames = [Image.fromarray(picture(seed)) for seed in range(3)]
    content = encoded(frames[0], "png", save_all=True, append_images=frames[1:])
    with pytest.raises(BadImage, match="3 frames"):
        check(content)


def test_the_limit_of_pixels_is_what_the_messages_say():
    assert MAX_PIXELS == 67_108_864


def deep_png(pixels, transparent):
    """Return a PNG of 16 bits a channel, [h, w] or [h, w, 3], with one transparent colour."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc32(name + data))

    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 16, 0 if pixels.ndim == 2 else 2, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    seen = np.atleast_1d(transparent).astype(">u2").tobytes()
    parts = ((b"IHDR", header), (b"tRNS", seen), (b"IDAT", compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def test_one_transparent_colour_of_16_bits_shows_white():
    """Grey lost it when its high bytes were taken; of colour the values did not fit."""
    grey = np.array([[0x1234, 0x1235], [0xFFFF, 0]], dtype=np.uint16)
    assert decode(deep_png(grey, 0x1234))[..., 0].tolist() == [[255, 0x12], [255, 0]]
    colour = np.array([[[0x1000, 0x2000, 0x3000], [0x4000, 0, 0]]], dtype=np.uint16)
    found = decode(deep_png(colour, [0x1000, 0x2000, 0x3000]))
    assert found.tolist() == [[[255, 255, 255], [0x40, 0, 0]]]
