"""What signing in from a command line is made of, put together."""

from __future__ import annotations

from typing import NamedTuple

from aitbc.schemas.scopes import Environment
from aitbc_server.device.codes import Codes
from aitbc_server.device.consent import DeviceConsents
from aitbc_server.device.service import DeviceSignIns
from aitbc_server.foundation import Foundation


class DeviceServices(NamedTuple):
    """The device's side, and the person's; handlers get them by these names."""

    device_sign_ins: DeviceSignIns
    device_consents: DeviceConsents


def device_services(base: Foundation) -> DeviceServices:
    """Both, with the same codes."""
    codes = Codes(base.secret_keys)
    sign_ins = DeviceSignIns(
        base.units,
        codes,
        base.digests,
        base.audit,
        base.mailbox,
        site_url=base.settings.site_url,
        on_new_secret=base.cache.expect,
        max_keys=base.settings.max_keys_per_tenant,
    )
    # Everything on a development server is a test: a live key would see none of it.
    environment = Environment.TEST if base.settings.dev else Environment.LIVE
    return DeviceServices(sign_ins, DeviceConsents(base.units, codes, base.audit, environment))
