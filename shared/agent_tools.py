"""The `tools` of an agent file: what the language model may do besides speaking.

A tool is one of three: an HTTP webhook, a Python function, or a built-in. The pipeline worker's `toolbox` loads them.
"""

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

ToolName = Annotated[str, Field(pattern=r"^[a-zA-Z][a-zA-Z0-9_-]{0,63}$")]
"""Function names that every vendor of language models accepts."""
EnvName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]

PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TRANSFER_DESCRIPTION = "Transfer the caller to another person or department."
_END_CALL_DESCRIPTION = (
    "End the call. Use it when the caller has said goodbye or wants nothing more; say goodbye first."
)


class Section(BaseModel):
    """A mapping in an agent file."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Webhook(Section):
    """An HTTP request. Arguments fill the `{placeholders}` of `url`; the rest become its query or its JSON body."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    url: str = Field(max_length=2000)
    headers: dict[str, str] = Field(default_factory=dict)
    secret_env: EnvName | None = Field(None, description="environment variable that holds the service's key")
    secret_header: str = Field(
        "Authorization", description="header of the key: a bearer token in `Authorization`, else as it is"
    )

    @property
    def placeholders(self) -> tuple[str, ...]:
        return tuple(PLACEHOLDER.findall(self.url))

    @field_validator("url")
    @classmethod
    def _names_its_host(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError as error:
            raise ValueError(f"no URL: {error}: write it as https://host/path") from error
        if parts.scheme not in ("http", "https") or not host:
            raise ValueError("no URL of a service: write it as https://host/path")
        if "{" in parts.netloc or "}" in parts.netloc or "{" in parts.scheme:
            raise ValueError("a placeholder may not choose the host: use it in the path or the query only")
        if "@" in parts.netloc:
            raise ValueError("a name or password may not be in the URL: name an environment variable in secret_env")
        if parts.fragment or "#" in url:
            raise ValueError("a fragment (#...) is not sent to servers: remove it")
        if re.search(r"[\s\\\x00-\x1f\x7f]", url):
            raise ValueError("white space, control characters and backslashes must be percent-encoded")
        if any(segment in (".", "..") for segment in parts.path.split("/")):
            raise ValueError("'.' and '..' are not allowed in the path: write it in full")
        if "{" in (rest := PLACEHOLDER.sub("", url)) or "}" in rest:
            raise ValueError("a brace outside a {placeholder}: a placeholder is the name of a parameter in braces")
        return url

    @field_validator("headers")
    @classmethod
    def _headers_can_be_sent(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            _check_header_name(name)
            if not value.isascii() or not value.isprintable():
                raise ValueError(f"'{name}': a header's value is one line of ASCII: remove other characters")
        return headers

    @field_validator("secret_header")
    @classmethod
    def _secret_header_can_be_sent(cls, name: str) -> str:
        _check_header_name(name)
        return name


def _check_header_name(name: str) -> None:
    if not _HEADER.fullmatch(name):
        raise ValueError(f"'{name}' is not the name of an HTTP header: use letters, digits and '-'")
    if name.lower() in ("host", "content-length", "transfer-encoding", "connection", "accept-encoding"):
        raise ValueError(f"'{name}' is set by the request itself: remove it")


class Tool(Section):
    """One tool. `parameters` is the JSON schema of an object; the model's arguments are checked against it."""

    name: ToolName
    description: str = Field(min_length=1, max_length=1024)
    parameters: dict[str, Any] = Field(default_factory=lambda: {"type": "object", "properties": {}})
    webhook: Webhook | None = None
    python: str | None = Field(None, pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$", max_length=200)
    builtin: Literal["end_call", "transfer"] | None = None
    destinations: dict[str, str] = Field(default_factory=dict, description="for transfer: name -> URI")
    say: str | None = Field(
        None, min_length=1, max_length=500, description="for a built-in: what the agent says with it"
    )
    timeout_s: float = Field(10.0, gt=0, le=120)
    side_effects: bool = Field(
        True, description="whether it changes something; one that does not is cancelled with its turn"
    )
    filler: str | None = Field(None, min_length=1, max_length=200, description="said while the tool is slow")

    @model_validator(mode="before")
    @classmethod
    def _complete_builtin(cls, fields: Any) -> Any:
        """A built-in needs neither a name nor a description nor parameters."""
        if not isinstance(fields, dict):
            return fields
        match fields.get("builtin"):
            case "end_call":
                return {"name": "end_call", "description": _END_CALL_DESCRIPTION, **fields}
            case "transfer":
                names = fields.get("destinations")
                parameters = _transfer_parameters(list(names)) if isinstance(names, dict) else {}
                return {
                    "name": "transfer",
                    "description": _TRANSFER_DESCRIPTION,
                    **fields,
                    **({} if "parameters" in fields else {"parameters": parameters}),
                }
            case _:
                return fields

    @model_validator(mode="after")
    def _is_one_kind(self) -> "Tool":
        kinds = [kind for kind in ("webhook", "python", "builtin") if getattr(self, kind) is not None]
        if len(kinds) != 1:
            raise ValueError(
                f"a tool is one of webhook, python and builtin; this one has {' and '.join(kinds) or 'none'}"
            )
        if self.builtin is None and self.say is not None:
            raise ValueError("'say' belongs to built-ins: use 'filler' for what is said while a tool is slow")
        if self.builtin == "transfer":
            if not self.destinations:
                raise ValueError("transfer has no destinations: add 'destinations: {name: uri}'")
            if not all(
                name and uri and name.isprintable() and uri.isprintable() for name, uri in self.destinations.items()
            ):
                raise ValueError("a destination is a name and a URI: complete 'destinations: {name: uri}'")
        elif self.destinations:
            raise ValueError("only 'builtin: transfer' has destinations: remove them")
        if self.webhook is not None:
            self._check_placeholders(self.webhook)
        return self

    def _check_placeholders(self, webhook: Webhook) -> None:
        properties, required = self.parameters.get("properties", {}), self.parameters.get("required", [])
        for name in webhook.placeholders:
            if not isinstance(properties, dict) or name not in properties:
                raise ValueError(f"webhook.url: {{{name}}} is not a parameter: add it to parameters.properties")
            if not isinstance(required, list) or name not in required:
                raise ValueError(f"webhook.url: {{{name}}} may be missing: add it to parameters.required")


def _transfer_parameters(destinations: list[Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "destination": {"type": "string", "enum": destinations},
            "reason": {"type": "string", "description": "Why, in a few words."},
        },
        "required": ["destination"],
        "additionalProperties": False,
    }


class ToolRules(Section):
    """How an agent uses its tools."""

    filler: str | None = Field(
        "One moment, please.", min_length=1, max_length=200, description="said while a tool is slow"
    )
    filler_after_s: float = Field(1.0, ge=0, le=30)
    max_rounds: int = Field(5, ge=1, le=20, description="rounds from model to tools and back in one turn")
    visible: bool = Field(False, description="whether clients may see the arguments")
