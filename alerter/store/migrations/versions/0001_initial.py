"""initial.

Revises: nothing.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "answer_clocks",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("brand", sa.String(length=64), nullable=False),
        sa.Column("network", sa.String(length=64), nullable=False),
        sa.Column("post_id", sa.Text(), nullable=False),
        sa.Column("conversation", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=True),
        sa.Column("kind", sa.String(length=16), nullable=True),
        sa.Column("band", sa.String(length=32), nullable=True),
        sa.Column("followers", sa.BigInteger(), nullable=True),
        sa.Column("asked_at", sa.BigInteger(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("permalink", sa.Text(), nullable=True),
        sa.Column("reply_link", sa.Text(), nullable=True),
        sa.Column("policy", sa.String(length=16), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("answered_at", sa.BigInteger(), nullable=True),
        sa.Column("answer_id", sa.Text(), nullable=True),
        sa.Column("tell_at", sa.BigInteger(), nullable=True),
        sa.Column("told_at", sa.BigInteger(), nullable=True),
        sa.Column("digest", sa.String(length=64), nullable=True),
        sa.Column("noted_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("answer_clocks", schema=None) as batch_op:
        batch_op.create_index("answer_clocks_asked", ["asked_at"], unique=False)
        batch_op.create_index("answer_clocks_due", ["state", "due_at"], unique=False)
        batch_op.create_index("answer_clocks_noted", ["noted_at"], unique=False)
        batch_op.create_index("answer_clocks_tell", ["state", "tell_at"], unique=False)

    op.create_table(
        "answer_digests",
        sa.Column("brand", sa.String(length=64), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("brand", "account"),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("what", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("brand", sa.String(length=64), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("audit", schema=None) as batch_op:
        batch_op.create_index("audit_newest", ["at", "id"], unique=False)

    op.create_table(
        "endpoints",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("options", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("brands", sa.Text(), nullable=False),
        sa.Column("severities", sa.Text(), nullable=False),
        sa.Column("types", sa.Text(), nullable=False),
        sa.Column("subscribed", sa.Boolean(), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=True),
        sa.Column("fallback", sa.String(length=64), nullable=True),
        sa.Column("concurrency", sa.Integer(), nullable=True),
        sa.Column("per_second", sa.Float(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("disabled_because", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failing_since", sa.BigInteger(), nullable=True),
        sa.Column("told_failing", sa.Boolean(), nullable=False),
        sa.Column("paused_until", sa.BigInteger(), nullable=True),
        sa.Column("next_send_wall", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "inbound",
        sa.Column("endpoint", sa.String(length=64), nullable=False),
        sa.Column("event", sa.String(length=200), nullable=False),
        sa.Column("at_wall", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("endpoint", "event"),
    )
    with op.batch_alter_table("inbound", schema=None) as batch_op:
        batch_op.create_index("inbound_old", ["at_wall"], unique=False)

    op.create_table(
        "incidents",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("brand", sa.String(length=64), nullable=False),
        sa.Column("story", sa.Text(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("severity", sa.Integer(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("told_at", sa.BigInteger(), nullable=True),
        sa.Column("held_until", sa.BigInteger(), nullable=True),
        sa.Column("dossier", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("brand", "story", "ordinal"),
    )
    with op.batch_alter_table("incidents", schema=None) as batch_op:
        batch_op.create_index("incidents_due", ["due_at"], unique=False)
        batch_op.create_index("incidents_newest", ["opened_at", "id"], unique=False)
        batch_op.create_index("incidents_open", ["state", "changed_at"], unique=False)
        batch_op.create_index("incidents_told", ["brand", "told_at"], unique=False)

    op.create_table(
        "installation",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "keys",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("scope", sa.String(length=16), nullable=False),
        sa.Column("brands", sa.Text(), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_wall", sa.BigInteger(), nullable=True),
        sa.Column("revoked_wall", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("name"),
        sa.UniqueConstraint("digest"),
    )
    op.create_table(
        "overrides",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("schedule", sa.String(length=64), nullable=False),
        sa.Column("begins", sa.BigInteger(), nullable=False),
        sa.Column("ends", sa.BigInteger(), nullable=False),
        sa.Column("responder", sa.String(length=64), nullable=True),
        sa.Column("replaces", sa.String(length=64), nullable=True),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("overrides", schema=None) as batch_op:
        batch_op.create_index("overrides_by_end", ["ends"], unique=False)

    op.create_table(
        "positions",
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("next", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("partition"),
    )
    op.create_table(
        "publications",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("topic", sa.String(length=128), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "seen",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("seen", schema=None) as batch_op:
        batch_op.create_index("seen_by_offset", ["partition", "offset"], unique=False)

    op.create_table(
        "sessions",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("ends_wall", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_table(
        "silences",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("covers", sa.String(length=16), nullable=False),
        sa.Column("matchers", sa.Text(), nullable=False),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("silences", schema=None) as batch_op:
        batch_op.create_index("silences_end", ["ends_at"], unique=False)

    op.create_table(
        "volumes",
        sa.Column("brand", sa.String(length=64), nullable=False),
        sa.Column("hour", sa.BigInteger(), nullable=False),
        sa.Column("posts", sa.Integer(), nullable=False),
        sa.Column("scored", sa.Integer(), nullable=False),
        sa.Column("negative", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("brand", "hour"),
    )
    with op.batch_alter_table("volumes", schema=None) as batch_op:
        batch_op.create_index("volumes_by_hour", ["hour"], unique=False)

    op.create_table(
        "deliveries",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("endpoint", sa.String(length=64), nullable=False),
        sa.Column("incident", sa.String(length=64), nullable=True),
        sa.Column("sequence", sa.Integer(), nullable=True),
        sa.Column("cause", sa.String(length=64), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_wall", sa.BigInteger(), nullable=False),
        sa.Column("next_attempt_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("fell_back", sa.Boolean(), nullable=False),
        sa.Column("lease_owner", sa.String(length=128), nullable=True),
        sa.Column("lease_ends_wall", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("outcome", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(
            ["incident"],
            ["incidents.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.create_index("deliveries_due", ["state", "next_attempt_at"], unique=False)
        batch_op.create_index("deliveries_newest", ["created_at", "id"], unique=False)
        batch_op.create_index("deliveries_of_endpoint", ["endpoint", "state"], unique=False)
        batch_op.create_index("deliveries_of_incident", ["incident"], unique=False)

    op.create_table(
        "groupings",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("incident", sa.String(length=64), nullable=False),
        sa.Column("members", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["incident"],
            ["incidents.id"],
        ),
        sa.PrimaryKeyConstraint("key"),
    )
    with op.batch_alter_table("groupings", schema=None) as batch_op:
        batch_op.create_index("groupings_of_incident", ["incident"], unique=False)

    op.create_table(
        "mentions",
        sa.Column("network", sa.String(length=64), nullable=False),
        sa.Column("post_id", sa.Text(), nullable=False),
        sa.Column("incident", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["incident"],
            ["incidents.id"],
        ),
        sa.PrimaryKeyConstraint("network", "post_id", "incident"),
    )
    op.create_table(
        "outcomes",
        sa.Column("incident", sa.String(length=64), nullable=False),
        sa.Column("brand", sa.String(length=64), nullable=False),
        sa.Column("rule", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("forecast", sa.Boolean(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("told_at", sa.BigInteger(), nullable=True),
        sa.Column("crossed_at", sa.BigInteger(), nullable=True),
        sa.Column("answered_at", sa.BigInteger(), nullable=True),
        sa.Column("mark", sa.String(length=16), nullable=True),
        sa.ForeignKeyConstraint(
            ["incident"],
            ["incidents.id"],
        ),
        sa.PrimaryKeyConstraint("incident"),
    )
    with op.batch_alter_table("outcomes", schema=None) as batch_op:
        batch_op.create_index("outcomes_newest", ["opened_at"], unique=False)

    op.create_table(
        "pages",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("incident", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("target", sa.String(length=100), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("endpoint", sa.String(length=64), nullable=False),
        sa.Column("delivery", sa.String(length=64), nullable=False),
        sa.Column("rest", sa.Text(), nullable=False),
        sa.Column("fallback", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("paged_at", sa.BigInteger(), nullable=False),
        sa.Column("paged_wall", sa.BigInteger(), nullable=False),
        sa.Column("check_at", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["incident"],
            ["incidents.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("pages", schema=None) as batch_op:
        batch_op.create_index("pages_due", ["state", "check_at"], unique=False)
        batch_op.create_index("pages_of_delivery", ["delivery"], unique=False)
        batch_op.create_index("pages_of_incident", ["incident", "number"], unique=False)

    op.create_table(
        "secrets",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("endpoint", sa.String(length=64), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("ends_wall", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["endpoint"], ["endpoints.name"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("secrets", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_secrets_endpoint"), ["endpoint"], unique=False)

    op.create_table(
        "standing",
        sa.Column("endpoint", sa.String(length=64), nullable=False),
        sa.Column("incident", sa.String(length=64), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("made_wall", sa.BigInteger(), nullable=False),
        sa.Column("due_wall", sa.BigInteger(), nullable=False),
        sa.Column("ends_wall", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["endpoint"], ["endpoints.name"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("endpoint", "incident"),
    )
    with op.batch_alter_table("standing", schema=None) as batch_op:
        batch_op.create_index("standing_due", ["due_wall"], unique=False)

    op.create_table(
        "steps",
        sa.Column("incident", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("done_at", sa.BigInteger(), nullable=True),
        sa.Column("because", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["incident"],
            ["incidents.id"],
        ),
        sa.PrimaryKeyConstraint("incident", "number"),
    )
    with op.batch_alter_table("steps", schema=None) as batch_op:
        batch_op.create_index("steps_due", ["state", "due_at"], unique=False)

    op.create_table(
        "stories",
        sa.Column("brand", sa.String(length=64), nullable=False),
        sa.Column("story", sa.Text(), nullable=False),
        sa.Column("incident", sa.String(length=64), nullable=True),
        sa.Column("openings", sa.Integer(), nullable=False),
        sa.Column("complaint", sa.Integer(), nullable=True),
        sa.Column("touched_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["incident"],
            ["incidents.id"],
        ),
        sa.PrimaryKeyConstraint("brand", "story"),
    )
    with op.batch_alter_table("stories", schema=None) as batch_op:
        batch_op.create_index("stories_old", ["touched_at"], unique=False)

    op.create_table(
        "timeline",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("incident", sa.String(length=64), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("because", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=True),
        sa.Column("signal", sa.String(length=64), nullable=True),
        sa.Column("partition", sa.Integer(), nullable=True),
        sa.Column("offset", sa.BigInteger(), nullable=True),
        sa.Column("took_micro", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["incident"],
            ["incidents.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("timeline", schema=None) as batch_op:
        batch_op.create_index("timeline_of_incident", ["incident", "id"], unique=False)

    op.create_table(
        "attempts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("delivery", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("begun_at", sa.BigInteger(), nullable=False),
        sa.Column("begun_wall", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("outcome", sa.String(length=32), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("seconds_micro", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["delivery"],
            ["deliveries.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("delivery", "number"),
    )


def downgrade() -> None:
    op.drop_table("attempts")
    with op.batch_alter_table("timeline", schema=None) as batch_op:
        batch_op.drop_index("timeline_of_incident")

    op.drop_table("timeline")
    with op.batch_alter_table("stories", schema=None) as batch_op:
        batch_op.drop_index("stories_old")

    op.drop_table("stories")
    with op.batch_alter_table("steps", schema=None) as batch_op:
        batch_op.drop_index("steps_due")

    op.drop_table("steps")
    with op.batch_alter_table("standing", schema=None) as batch_op:
        batch_op.drop_index("standing_due")

    op.drop_table("standing")
    with op.batch_alter_table("secrets", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_secrets_endpoint"))

    op.drop_table("secrets")
    with op.batch_alter_table("pages", schema=None) as batch_op:
        batch_op.drop_index("pages_of_incident")
        batch_op.drop_index("pages_of_delivery")
        batch_op.drop_index("pages_due")

    op.drop_table("pages")
    with op.batch_alter_table("outcomes", schema=None) as batch_op:
        batch_op.drop_index("outcomes_newest")

    op.drop_table("outcomes")
    op.drop_table("mentions")
    with op.batch_alter_table("groupings", schema=None) as batch_op:
        batch_op.drop_index("groupings_of_incident")

    op.drop_table("groupings")
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.drop_index("deliveries_of_incident")
        batch_op.drop_index("deliveries_of_endpoint")
        batch_op.drop_index("deliveries_newest")
        batch_op.drop_index("deliveries_due")

    op.drop_table("deliveries")
    with op.batch_alter_table("volumes", schema=None) as batch_op:
        batch_op.drop_index("volumes_by_hour")

    op.drop_table("volumes")
    with op.batch_alter_table("silences", schema=None) as batch_op:
        batch_op.drop_index("silences_end")

    op.drop_table("silences")
    op.drop_table("sessions")
    with op.batch_alter_table("seen", schema=None) as batch_op:
        batch_op.drop_index("seen_by_offset")

    op.drop_table("seen")
    op.drop_table("publications")
    op.drop_table("positions")
    with op.batch_alter_table("overrides", schema=None) as batch_op:
        batch_op.drop_index("overrides_by_end")

    op.drop_table("overrides")
    op.drop_table("keys")
    op.drop_table("installation")
    with op.batch_alter_table("incidents", schema=None) as batch_op:
        batch_op.drop_index("incidents_told")
        batch_op.drop_index("incidents_open")
        batch_op.drop_index("incidents_newest")
        batch_op.drop_index("incidents_due")

    op.drop_table("incidents")
    with op.batch_alter_table("inbound", schema=None) as batch_op:
        batch_op.drop_index("inbound_old")

    op.drop_table("inbound")
    op.drop_table("endpoints")
    with op.batch_alter_table("audit", schema=None) as batch_op:
        batch_op.drop_index("audit_newest")

    op.drop_table("audit")
    op.drop_table("answer_digests")
    with op.batch_alter_table("answer_clocks", schema=None) as batch_op:
        batch_op.drop_index("answer_clocks_tell")
        batch_op.drop_index("answer_clocks_noted")
        batch_op.drop_index("answer_clocks_due")
        batch_op.drop_index("answer_clocks_asked")

    op.drop_table("answer_clocks")
