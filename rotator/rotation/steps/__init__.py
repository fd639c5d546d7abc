"""The steps of a rotation: what each does, what it changes, and what a dry run assumes of it.

`protocol.decide` says which step is next. Each step is one class, and a class holds all there is to
know of it: its name in the ledger, its request to Vonage or Vault (`perform`), what is recorded
before it (`intent`), and what is known and recorded after it (`done`). Only `perform` does any
input or output; all else is pure.

Events of a rotation in the ledger: `opened`, `asked` (a person asked for it, or for another grace,
while it was open), `intent`, `done`, `rejected` (the server said no: certainly no effect),
`unknown` (the answer was lost), `withdrawn` (it was not sent after all, as an operator held or
released the account meanwhile, or the last look took too long), `learned` (an observation showed
that the effect took place), `aborting`, `closed`; of a deleted secret `still-accepted` (Vonage
accepts its value), `dead-after` (it no longer does) and `not-proven` (nothing has its value any
more, or another secret that leaked is replaced first); and of its gates `gate-shut`, `gates-open`
and `gates-skipped`. An adoption and what an operator does by hand have `intent`, `done` and the
like, too.

Events of an account: `requested` (a person asked for something, whatever becomes of it), `refused`
(an operator must decide), `failed` (a pass ended in an error), `trouble` (an observation showed
that something is wrong: with what consumers read, or with what the next rotation needs) and
`trouble-over` (older versions: `drift`, `drift-over`), `secret-appeared` and `secret-vanished` (the
first look that showed a secret that somebody else made, or that one was gone that rotator had not
deleted), `secret-explained` (Vonage's Audit API has told who made or revoked it), `not-begun` (what
a person asked for was refused, or failed before its first effect), `carried-out` (a rotation has
done what was asked for through the trigger), `overdue` and `overdue-over`, `balance` (it is too
low) and `balance-over`, `held` and `released` (an operator paused it, or ended that), `lease-ended`
(an operator ended the lease of a process that is dead), `registered` (what it is was not recorded
before, or the configuration has changed it), `forgotten` (an operator let another account have what
it was) and `discovered` (it was found below its parent). `rotator.ledger.outbox` has those of
deliveries to hooks.
"""
