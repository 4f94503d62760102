# mypy: disable-error-code="import-not-found, misc, attr-defined"
"""Django REST framework with djangorestframework-api-key on SQLite; it limits and counts nothing.

``python drf_app.py KEYS``: make the database of BENCH_DATABASE, and write as many of its keys as KEYS says.
"""

import os
import sys
from collections.abc import Callable
from typing import Any

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

settings.configure(
    SECRET_KEY="of the benchmark alone",  # noqa: S106
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "rest_framework", "rest_framework_api_key"],
    MIDDLEWARE=[],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ["BENCH_DATABASE"],
            "CONN_MAX_AGE": None,
            "OPTIONS": {"init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL"},
        }
    },
    API_KEY_CUSTOM_HEADER="HTTP_X_API_KEY",
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "DEFAULT_PERMISSION_CLASSES": ["rest_framework_api_key.permissions.HasAPIKey"],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "UNAUTHENTICATED_USER": None,
    },
)
django.setup()

# What they import reads the settings.
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402


class Check(APIView):
    """What a good key is answered."""

    def get(self, request: Any) -> Response:
        """Nothing but a word."""
        return Response({"ok": True})


def ready(request: HttpRequest) -> HttpResponse:
    """It serves."""
    return HttpResponse()


urlpatterns = [path("check", Check.as_view()), path("", ready)]


def made() -> Callable[..., Any]:
    """The app."""
    application: Callable[..., Any] = get_wsgi_application()
    return application


def make_keys(number: int) -> None:
    """Fill the database, and write the keys, one a line."""
    from django.core.management import call_command
    from rest_framework_api_key.models import APIKey

    call_command("migrate", verbosity=0)
    rows = [APIKey(name=f"bench-{each}") for each in range(number)]
    keys = [APIKey.objects.assign_key(row) for row in rows]
    APIKey.objects.bulk_create(rows)
    sys.stdout.writelines(f"{key}\n" for key in keys)


if __name__ == "__main__":
    make_keys(int(sys.argv[1]))
