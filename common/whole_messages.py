"""A message of Flower's travels as one object.

Flower sends a message as a tree of objects, four or five of them for a question, and every object is a request through
forwarder, gateway and SuperLink, to and fro: two thirds of all requests. Flower's own protobuf of a message has a place
for its content, so here the content stays in its message. Both sides must do this; a message in pieces is still read.
"""

from typing import Any

from flwr.app import Message
from flwr.app.message.message import make_message
from flwr.common.serde import recorddict_from_proto, recorddict_to_proto
from flwr.common.serde_utils import error_to_proto, metadata_from_proto, metadata_to_proto
from flwr.proto.message_pb2 import Message as ProtoMessage
from flwr.supercore.inflatable.inflatable_object import add_header_to_object_body, get_object_body


def send_whole() -> None:
    """Let this process write messages as one object each, and read such messages and those in pieces."""
    inflate_pieces = Message.inflate

    def inflate(object_content: bytes, children: Any = None) -> Message:
        if not children:
            found = ProtoMessage.FromString(get_object_body(object_content, Message))
            if found.HasField("content"):
                content = recorddict_from_proto(found.content)
                return make_message(metadata=metadata_from_proto(found.metadata), content=content)
        return inflate_pieces(object_content, children)

    changed: Any = Message
    changed.children = None
    changed.deflate = _deflate
    changed.inflate = staticmethod(inflate)


def _deflate(self: Message) -> bytes:
    metadata = metadata_to_proto(self.metadata)
    metadata.message_id = ""  # as Flower does: it is the hash of these bytes
    whole = ProtoMessage(
        metadata=metadata,
        content=recorddict_to_proto(self.content) if self.has_content() else None,
        error=error_to_proto(self.error) if self.has_error() else None,
    )
    return add_header_to_object_body(object_body=whole.SerializeToString(deterministic=True), obj=self)
