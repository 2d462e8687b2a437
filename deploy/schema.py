"""The JSON schema of study.yaml: editors complete and check with it, docs/study.schema.json is this text."""

import json

from common.study import Study


def study_schema() -> str:
    """The schema as indented JSON that ends in a newline."""
    return json.dumps(Study.model_json_schema(), indent=2, ensure_ascii=False) + "\n"
