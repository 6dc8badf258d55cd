"""Who is told of an alert: the log always, a webhook and a mailbox if they are set."""

from __future__ import annotations

import logging
import smtplib
import ssl
from collections.abc import Callable
from email.message import EmailMessage
from typing import Final
from urllib.parse import unquote, urlsplit

from ..errors import InvalidSettings, SmartRagError, TransientError, words_of
from ..settings import Settings
from . import webhook
from .alert_states import FIRING, Notice

logger = logging.getLogger(__name__)

#: Seconds for each answer of a mail server.
PATIENCE: Final = 10.0
#: Scheme, and the port when the URL has none.
_SMTP: Final = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}

#: Tells somebody; `refusal` is how it is called.
Notifier = Callable[[Notice], None]


class MailError(TransientError):
    """The mail server did not take the notice."""


def notifiers(settings: Settings) -> dict[str, Notifier]:
    """Those that are set, by name; raises InvalidSettings for settings that cannot work."""
    found: dict[str, Notifier] = {"log": _log}
    if settings.alert_webhook:
        webhook.checked(settings.alert_webhook)
        found["webhook"] = lambda notice: _post(settings, notice)
    if settings.alert_smtp.get_secret_value():
        _mail_server(settings)
        found["mail"] = lambda notice: _mail(settings, notice)
    return found


def refusal(tell: Notifier, notice: Notice) -> str:
    """Tell somebody; returns why that could not be done, "" when it was. Never raises: others are to be told too."""
    try:
        tell(notice)
    except SmartRagError as error:
        return str(error)
    except Exception as error:  # whatever it stumbled over
        return words_of(error)
    return ""


def _log(notice: Notice) -> None:
    level = logging.ERROR if notice.state == FIRING and notice.severity == "critical" else logging.WARNING
    logger.log(level if notice.state == FIRING else logging.INFO, "alert %s: %s", notice.rule, notice.title)


def _post(settings: Settings, notice: Notice) -> None:
    hosts = [host.strip() for host in settings.alert_webhook_hosts.split(",") if host.strip()]
    webhook.post(
        settings.alert_webhook, notice.as_json(), settings.alert_webhook_secret.get_secret_value(), frozenset(hosts)
    )


def _mail_server(settings: Settings) -> tuple[str, str, int, str, str]:
    """Scheme, host, port, user, password."""
    try:
        parts = urlsplit(settings.alert_smtp.get_secret_value())
        port = parts.port or _SMTP.get(parts.scheme, 0)
    except ValueError:
        port = 0
    if not port or not parts.hostname:
        raise InvalidSettings("SMART_RAG_ALERT_SMTP: must be smtp://, smtp+starttls:// or smtps://USER:PASSWORD@HOST")
    if not settings.alert_mail_from or not settings.alert_mail_to:
        raise InvalidSettings("SMART_RAG_ALERT_SMTP: needs SMART_RAG_ALERT_MAIL_FROM and SMART_RAG_ALERT_MAIL_TO")
    return parts.scheme, parts.hostname, port, unquote(parts.username or ""), unquote(parts.password or "")


def _mail(settings: Settings, notice: Notice) -> None:
    scheme, host, port, user, password = _mail_server(settings)
    message = EmailMessage()
    message["Subject"] = f"smart_rag_tasks {notice.title}"[:200].replace("\n", " ")
    message["From"], message["To"] = settings.alert_mail_from, settings.alert_mail_to
    message.set_content("".join(f"{name}: {value}\n" for name, value in notice.as_json().items()))
    try:
        with _connect(scheme, host, port) as server:
            if user:
                server.login(user, password)
            server.send_message(message)
    except (OSError, smtplib.SMTPException) as error:
        raise MailError(f"the mail server {host} did not take the notice ({type(error).__name__})") from None


def _connect(scheme: str, host: str, port: int) -> smtplib.SMTP:
    if scheme == "smtps":
        return smtplib.SMTP_SSL(host, port, timeout=PATIENCE, context=ssl.create_default_context())
    server = smtplib.SMTP(host, port, timeout=PATIENCE)
    if scheme == "smtp+starttls":
        server.starttls(context=ssl.create_default_context())
    return server
