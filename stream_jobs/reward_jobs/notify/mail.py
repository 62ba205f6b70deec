"""A message by SMTP, encrypted unless the configuration says otherwise."""

from __future__ import annotations

import logging
import smtplib
import socket
import ssl
from contextlib import suppress
from email.message import EmailMessage
from email.utils import formatdate

from reward_engine.rules.routes import Mail

from reward_jobs.notify.address import allowed, connect, deadline, secured
from reward_jobs.notify.errors import Later, Refused
from reward_jobs.notify.post import TIMEOUT_S
from reward_jobs.notify.state import Delivery
from reward_jobs.notify.text import lines, title

log = logging.getLogger("reward_jobs.notify")
_DEADLINE_S = 40.0


def letter(config: Mail, message: Delivery) -> EmailMessage:
    """The mail. Its Message-ID is the same at each attempt: readers and servers drop a repeat by it."""
    made = EmailMessage()
    made["From"], made["To"] = config.sender, ", ".join(config.to)
    made["Subject"] = title(message)
    made["Date"] = formatdate(message.created_ms / 1000)
    made["Message-ID"] = f"<{message.key}@reward-monitor>"
    made["Auto-Submitted"] = "auto-generated"  # no out-of-office answers
    made.set_content("\n".join(lines(message)) + "\n")
    return made


def send(config: Mail, hosts: tuple[str, ...], tls: ssl.SSLContext, message: Delivery, password: str) -> None:
    """Returns when the server took it for at least one reader. Raises Refused, Later."""
    if not allowed(config.host, hosts):
        raise Refused(f"the host {config.host} is not among allow_hosts")
    client = _Client(config, connect(config.host, config.port, TIMEOUT_S, private=config.allow_private), tls)
    try:
        with deadline(lambda: client.sock or client.current, _DEADLINE_S):
            client.connect(config.host, config.port)
            if config.tls == "starttls":
                client.starttls(context=tls)
            if config.user:
                client.login(config.user, password)
            refused = client.send_message(letter(config, message), to_addrs=list(config.to))
            with suppress(OSError, smtplib.SMTPException):  # it has the mail, however it says good-bye
                client.quit()
        if refused:  # the others have it, and would have it twice
            log.error("%s took message %s for all but %d of %d readers", config.host, message.key, len(refused), len(config.to))
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
        raise (Refused if min(codes) >= 500 else Later)(
            f"{config.host} takes no mail for any of the readers: {codes[0]}"
        ) from error
    except smtplib.SMTPResponseException as error:
        said = error.smtp_error.decode("utf-8", "replace") if isinstance(error.smtp_error, bytes) else str(error.smtp_error)
        raise (Refused if error.smtp_code >= 500 else Later)(f"SMTP {error.smtp_code}: {said:.200}") from error
    except smtplib.SMTPNotSupportedError as error:
        raise Later(f"{config.host} offers no {'login' if 'AUTH' in str(error) else 'STARTTLS'}; nothing was sent") from error
    except ssl.SSLCertVerificationError as error:
        raise Later(f"the certificate of {config.host} is not to be trusted: {error.verify_message}") from error
    except (OSError, smtplib.SMTPException) as error:
        raise Later(f"{config.host} broke off: {type(error).__name__}") from error
    finally:
        client.close()
        client.current.close()


class _Client(smtplib.SMTP):
    """Over a socket that is connected already, so that no name is looked up again."""

    def __init__(self, config: Mail, connected: socket.socket, tls: ssl.SSLContext) -> None:
        super().__init__(local_hostname="reward-monitor.invalid", timeout=TIMEOUT_S)
        self._host = config.host  # whose certificate it has to be, after STARTTLS
        self.current, self._tls = connected, tls if config.tls == "tls" else None

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        if self._tls:
            self.current = encrypted = secured(self.current, self._tls, self._host)
            encrypted.do_handshake()
        return self.current
