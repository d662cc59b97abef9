"""What a validator that is not ours finds wrong in configurations.

usage: validate_schema.py SCHEMA CONFIG...   each CONFIG a JSON text; prints a list with, for each, its first error or null
"""

import json
import sys

import jsonschema


def main():
    with open(sys.argv[1]) as file:
        schema = json.load(file)
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)
    errors = [next(validator.iter_errors(json.loads(text)), None) for text in sys.argv[2:]]
    print(json.dumps([error and f"{'/'.join(map(str, error.path))}: {error.message}" for error in errors]))


main()
