"""A logdir of images larger than a thumbnail, each with quarters of colours of its own; by TensorBoard's own writer.

usage: write_images.py LOGDIR
"""

import io
import sys

from PIL import Image
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.event_file_writer import EventFileWriter

STEPS = (0, 7, 300)


def quarters(index, size, format):
    """An image of which no other index has a colour."""
    image = Image.new("RGB", size)
    for i in range(4):
        corner = (i % 2 * size[0] // 2, i // 2 * size[1] // 2)
        hue = (60 * index + 15 * i) % 256
        image.paste(Image.new("HSV", size, (hue, 255, 255 - 40 * i)).convert("RGB"), corner)
    encoded = io.BytesIO()
    frames = [image.transpose(Image.Transpose.ROTATE_180)] if format == "GIF" else []
    image.save(encoded, format, **({"save_all": True, "append_images": frames, "duration": 200} if frames else {}))
    return encoded.getvalue()


writer = EventFileWriter(sys.argv[1] + "/pictures")
for index, step in enumerate(STEPS):
    for tag, size, format in [
        ("val/large", (640, 400), "PNG"),
        ("val/photo", (500, 700), "JPEG"),
        ("val/moving", (300, 300), "GIF"),
        ("not in all steps", (900, 60), "PNG"),
    ]:
        if tag != "not in all steps" or step > 0:
            image = summary_pb2.Summary.Image(
                width=size[0], height=size[1], colorspace=3, encoded_image_string=quarters(index, size, format)
            )
            value = summary_pb2.Summary.Value(tag=tag, image=image)
            summary = summary_pb2.Summary(value=[value])
            writer.add_event(event_pb2.Event(wall_time=1_700_000_000 + step, step=step, summary=summary))
writer.close()
