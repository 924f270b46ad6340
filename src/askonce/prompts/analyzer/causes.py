"""The causes of losses at a provider's prompt cache, and what to do about each."""

from enum import StrEnum


class Cause(StrEnum):
    """The causes that findings name, in the order in which they are searched."""

    MODEL = "model_changed"
    SERVICE_TIER = "service_tier_changed"
    EFFORT = "effort_changed"
    VERBOSITY = "verbosity_changed"
    FORMAT = "format_changed"
    TOOL_CHOICE = "tool_choice_changed"
    THINKING = "thinking_changed"
    CACHE_KEY = "cache_key_changed"
    PARAMETER = "parameter_changed"
    TOOLS_ADDED = "tools_added"
    TOOLS_REMOVED = "tools_removed"
    TOOLS_REORDERED = "tools_reordered"
    TOOL_SCHEMA = "tool_schema_changed"
    TOOL_KEY_ORDER = "tool_key_order"
    KEY_ORDER = "key_order"
    WHITESPACE = "whitespace"
    DATE = "date"
    UUID = "uuid"
    REQUEST_ID = "request_id"
    COUNTER = "counter"
    EMAIL = "email"
    LOCALE = "locale"
    NAME = "name"
    EXAMPLE_ORDER = "example_order"
    DOCUMENT_ORDER = "document_order"
    HISTORY_TRUNCATED = "history_truncated"
    COMPACTED = "compacted"
    THINKING_STRIPPED = "thinking_stripped"
    HISTORY_EDITED = "history_edited"
    UNICODE = "unicode_normalization"
    LINE_ENDINGS = "line_endings"
    IMAGE_CHANGED = "image_changed"
    IMAGE_REENCODED = "image_reencoded"
    APPENDED = "appended_in_message"
    INSTRUCTIONS = "instructions_turn_scoped"
    BELOW_MINIMUM = "below_minimum"
    BREAKPOINT_MISSING = "breakpoint_missing"
    BREAKPOINT_TOO_LATE = "breakpoint_too_late"
    LOOK_BACK = "look_back"
    TTL_GAP = "ttl_gap"
    COLD_START = "cold_start"
    UNKNOWN = "unknown"


FIXES: dict[Cause, str] = {
    Cause.MODEL: "Keep a conversation on one model; each model has a cache of its own.",
    Cause.SERVICE_TIER: "Send one service tier per route; each tier has a cache of its own.",
    Cause.EFFORT: "Keep the effort of a route constant, or change it between conversations only.",
    Cause.VERBOSITY: "Keep the verbosity of a route constant.",
    Cause.FORMAT: "Send the same response schema every time, serialized in the same way.",
    Cause.TOOL_CHOICE: "Keep tool_choice constant; say in the last message what is to be called.",
    Cause.THINKING: "Keep the thinking parameters constant within a conversation.",
    Cause.CACHE_KEY: "Use one prompt cache key for all requests that share a prefix.",
    Cause.PARAMETER: "Keep this parameter constant for all requests that share a prefix.",
    Cause.TOOLS_ADDED: "Send the whole list of tools from the first request on, and restrict "
    "their use with tool_choice or allowed tools.",
    Cause.TOOLS_REMOVED: "Keep sending all tools, and restrict their use with tool_choice or "
    "allowed tools.",
    Cause.TOOLS_REORDERED: "Sort the tools by name before sending them.",
    Cause.TOOL_SCHEMA: "Freeze the descriptions and schemas of tools; move what varies into "
    "a message.",
    Cause.TOOL_KEY_ORDER: "Serialize each tool once and send the same bytes again.",
    Cause.KEY_ORDER: "Serialize with a fixed order of keys (sort_keys=True), or once for all.",
    Cause.WHITESPACE: "Send the text back byte for byte; do not parse and serialize it again.",
    Cause.DATE: "Move the date behind the static text, into the last user message, or round it.",
    Cause.UUID: "Leave the identifier out of the prompt, or move it into the last message.",
    Cause.REQUEST_ID: "Leave the identifier out of the prompt, or move it into the last message.",
    Cause.COUNTER: "Move the number behind the static text, into the last message.",
    Cause.EMAIL: "Move what belongs to one user behind what all users share.",
    Cause.LOCALE: "Move the user's language behind what all users share.",
    Cause.NAME: "Move what belongs to one user behind what all users share.",
    Cause.EXAMPLE_ORDER: "Choose the examples once and keep their order.",
    Cause.DOCUMENT_ORDER: "Sort the documents by a stable key before sending them.",
    Cause.HISTORY_TRUNCATED: "Do not drop the oldest turns one by one; drop many at once, rarely, "
    "or let the provider manage the context.",
    Cause.COMPACTED: "Compact rarely, and keep the instructions and tools before the summary as "
    "they are.",
    Cause.THINKING_STRIPPED: "Send the thinking blocks of earlier turns back as they came.",
    Cause.HISTORY_EDITED: "Never edit earlier turns; append a correction instead.",
    Cause.UNICODE: "Normalize text once, where it enters, and send it back as it was sent.",
    Cause.LINE_ENDINGS: "Use one kind of line ending everywhere.",
    Cause.IMAGE_CHANGED: "Keep the images of earlier turns, or refer to them by a stable address.",
    Cause.IMAGE_REENCODED: "Encode an image once and send the same bytes, or its file id.",
    Cause.APPENDED: "Append a new message instead of extending one that was sent.",
    Cause.INSTRUCTIONS: "Move stable instructions into a first developer message: this model "
    "reads `instructions` again with every turn.",
    Cause.BELOW_MINIMUM: "The shared prefix is shorter than this model caches; put more static "
    "text first, or do without markers.",
    Cause.BREAKPOINT_MISSING: "Breakpoint the end of the static prefix with a cache breakpoint.",
    Cause.BREAKPOINT_TOO_LATE: "Put a breakpoint at the end of what requests share, before what "
    "differs.",
    Cause.LOOK_BACK: "Put a breakpoint every 15 blocks: a turn has more blocks than are looked "
    "back over.",
    Cause.TTL_GAP: "Ask for a longer lifetime, or keep the prefix warm: the requests come further "
    "apart than an entry lives.",
    Cause.COLD_START: "Let one request begin first and start the others when its answer begins.",
    Cause.UNKNOWN: "Compare both excerpts; if nothing in the request explains it, the provider "
    "dropped or rerouted the entry.",
}
"""What to do about each cause, in one sentence."""
