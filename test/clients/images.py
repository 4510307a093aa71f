"""How far an agent's pixels are from those that Pillow and OpenCV make of the same file: a line of JSON a case, with the mean and
the largest difference of a channel's value. Usage: images.py HOST:PORT"""

import io
import json
import sys
import urllib.request

import cv2
import numpy as np
from PIL import Image, ImageOps

WIDTH, HEIGHT, PADDING = 64, 48, 114
random = np.random.default_rng(1)


def scene(width, height):
    """A gradient, a disc and some noise: smooth parts, edges and texture."""
    y, x = np.mgrid[0:height, 0:width]
    red, green = 255 * x / width, 255 * y / height
    blue = np.where((x - width / 2) ** 2 + (y - height / 2) ** 2 < (height / 3) ** 2, 220, 30)
    noise = random.integers(-6, 7, (height, width, 3))
    return Image.fromarray(np.clip(np.stack([red, green, blue], -1) + noise, 0, 255).astype(np.uint8))


def encoded(image, kind, **how):
    file = io.BytesIO()
    image.save(file, kind, **how)
    return file.getvalue()


def sent(file, tenant="pixels"):
    """The tensor that the agent made of a file, as rows of RGB pixels."""
    kind = "image/png" if file.startswith(b"\x89PNG") else "image/jpeg"
    url = f"http://{sys.argv[1]}/v2/models/default.{tenant}/infer"
    with urllib.request.urlopen(urllib.request.Request(url, file, {"content-type": kind})) as answer:
        data = json.load(answer)["outputs"][0]["data"]
    return np.array(data, np.float32).reshape(3, HEIGHT, WIDTH).transpose(1, 2, 0)


def by_pillow(file):
    return ImageOps.exif_transpose(Image.open(io.BytesIO(file)))


def by_opencv(file):
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def case(name, found, expected):
    apart = np.abs(found - np.asarray(expected, np.float32))
    print(json.dumps([name, [round(float(apart.mean()), 2), float(apart.max())]]), flush=True)


picture = scene(WIDTH, HEIGHT)
exif = Image.Exif()
exif[0x0112] = 6  # to be turned by 90 degrees
grey16 = Image.fromarray((np.asarray(picture.convert("L"), np.uint16) << 8) + 77)
see_through = picture.copy()
see_through.putalpha(picture.convert("L"))
files = {
    "PNG": encoded(picture, "PNG"),
    "PNG, palette": encoded(picture.quantize(64), "PNG"),
    "PNG, grey": encoded(picture.convert("L"), "PNG"),
    "PNG, one bit": encoded(picture.convert("1"), "PNG"),
    "PNG, transparency": encoded(see_through, "PNG"),
    "JPEG": encoded(picture, "JPEG", quality=90),
    "JPEG, no subsampling": encoded(picture, "JPEG", quality=95, subsampling=0),
    "JPEG, progressive": encoded(picture, "JPEG", quality=90, progressive=True),
    "JPEG, grey": encoded(picture.convert("L"), "JPEG", quality=90),
    "JPEG, turned": encoded(picture.transpose(Image.Transpose.ROTATE_90), "JPEG", quality=90, exif=exif),
}
for name, file in files.items():
    case(f"{name}, Pillow", sent(file), by_pillow(file).convert("RGB"))
    if "transparency" not in name:
        case(f"{name}, OpenCV", sent(file), by_opencv(file))
case("PNG, grey of 16 bits, Pillow", sent(encoded(grey16, "PNG")), picture.convert("L").convert("RGB"))

large, small = encoded(scene(256, 192), "PNG"), encoded(scene(32, 24), "PNG")
to_model = (WIDTH, HEIGHT)
for name, file, area in (("smaller", large, cv2.INTER_AREA), ("larger", small, cv2.INTER_LINEAR)):
    case(f"made {name}, Pillow", sent(file), by_pillow(file).resize(to_model, Image.Resampling.BILINEAR))
    case(f"made {name}, OpenCV", sent(file), cv2.resize(by_opencv(file), to_model, interpolation=area))
wide = encoded(scene(256, 128), "PNG")
boxed = Image.new("RGB", to_model, (PADDING,) * 3)
boxed.paste(by_pillow(wide).resize((64, 32), Image.Resampling.BILINEAR), (0, 8))
case("letterbox, Pillow", sent(wide, "boxed"), boxed)
