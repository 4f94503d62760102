"""``aitbc admin``: the operator's commands, straight on the database."""

from __future__ import annotations

import click

from aitbc.cli.admin.audit import verify_audit
from aitbc.cli.admin.database import migrate
from aitbc.cli.admin.doctor import doctor
from aitbc.cli.admin.imports import import_keys
from aitbc.cli.admin.keys import create_key
from aitbc.cli.admin.plans import create_plan, list_plans, update_plan
from aitbc.cli.admin.tenants import create_tenant, list_tenants, resume_tenant, set_plan, suspend_tenant
from aitbc.cli.admin.transfer import export, import_, renew_fences
from aitbc.cli.admin.users import create_user, disable_user, enable_user, end_sessions
from aitbc.cli.lazy import Group


@click.group(cls=Group)
def admin() -> None:
    """Operate an installation: tenants, plans, keys, migrations.

    These commands work straight on the database that the variables AITBC_* name (AITBC_DATA_DIR, AITBC_DATABASE_URL,
    AITBC_SECRET_KEY_FILE, ...), the same as for `aitbc serve`: whoever may read its files is the operator. Each returns
    when its change is in effect on the running server.
    """


for command in (
    create_tenant,
    list_tenants,
    set_plan,
    suspend_tenant,
    resume_tenant,
    create_plan,
    list_plans,
    update_plan,
    create_key,
    import_keys,
    create_user,
    disable_user,
    enable_user,
    end_sessions,
    verify_audit,
    migrate,
    export,
    import_,
    renew_fences,
    doctor,
):
    admin.add_command(command)
