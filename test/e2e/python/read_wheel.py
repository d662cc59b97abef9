"""What a wheel holds: its files with their sizes, its metadata, its console commands, its tags."""

import configparser
import email
import json
import sys
import zipfile

with zipfile.ZipFile(sys.argv[1]) as wheel:
    files = {item.filename: item.file_size for item in wheel.infolist()}
    said = {name.rpartition("/")[2]: wheel.read(name).decode() for name in files if ".dist-info/" in name}
metadata = email.message_from_string(said["METADATA"])
commands = configparser.ConfigParser()
commands.read_string(said["entry_points.txt"])
answer = {
    "files": files,
    "metadata": {name: metadata.get_all(name) for name in set(metadata.keys())},
    "description": metadata.get_payload(),
    "commands": dict(commands["console_scripts"]),
    "tags": email.message_from_string(said["WHEEL"]).get_all("Tag"),
}
json.dump(answer, sys.stdout)
