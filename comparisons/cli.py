"""`python -m comparisons`: the whole job, or one question alone. Frameworks load when a command needs them."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from comparisons import interrupt, usage

UsageError: Any = typer.BadParameter.__base__  # typer gives it no public name
INTERRUPTED = 130
GONE = 141  # as a shell says of a program that wrote into a closed pipe
app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

Full = Annotated[bool, typer.Option("--full", help="The whole grid: every strategy on every problem.")]
Size = Annotated[str, typer.Option(help="tiny, default or large.")]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]
Jobs = Annotated[
    int | None, typer.Option(min=1, show_default="1", help="Processes that share the work; what is timed runs alone.")
]
Json = Annotated[Path | None, typer.Option("--json", help="Write the rows here.")]
Problems = Annotated[
    list[str] | None, typer.Option("--problem", help="Only this problem, all its strategies; repeat for more.")
]
Strategies = Annotated[
    list[str] | None, typer.Option("--strategy", help="Only this strategy, on all problems; repeat for more.")
]
Dtypes = Annotated[
    list[str] | None, typer.Option("--dtype", help="float64 (the verdict) or float32 (the distance to it).")
]


@app.callback(invoke_without_command=True)
def everything(
    context: typer.Context,
    full: Full = False,
    size: Size = "default",
    device: Device = "cpu",
    output: Annotated[Path, typer.Option(help="Folder for results.json and index.html.")] = Path("report"),
) -> None:
    """Take the gradients of several losses in PyTorch and in JAX, and show that they are equal.

    Without a command: every problem with the main strategies, every strategy on the digits, what is held and when it
    is let go, the lesson's claims, the pitfalls, and a report.
    Exit status: 0 as stated, 1 something does not hold, 2 bad usage, 130 interrupted, 141 a text has no reader.
    """
    if context.invoked_subcommand:
        usage.after(context)
        return
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise usage.BadUsage(f"--output {str(output)!r} cannot be made: {error.strerror}") from None
    json, page = output / "results.json", output / "index.html"
    work = _gradients(full, size, device, json)

    from comparisons import angles, contrast, graphs, job, lesson, memory, pitfalls

    work += [*_second_order(full, device, size), *memory.units(memory.cells(full), "tiny", device)]
    work += [*lesson.units(), *pitfalls.units()]
    work += [*contrast.units(), *graphs.units(), *angles.units()]
    raise typer.Exit(job.take(work, device, json, page))


@app.command()
def gradients(
    problem: Problems = None,
    strategy: Strategies = None,
    dtype: Dtypes = None,
    full: Full = False,
    size: Size = "default",
    device: Device = "cpu",
    jobs: Jobs = None,
    json: Json = None,
) -> None:
    """Are the gradients equal? One row for every problem, strategy, loss and parameter."""
    work = _gradients(full, size, device, json, problem or (), strategy or (), dtype or (), jobs or 1, second=full)

    from comparisons import job
    from comparisons.ahead import ahead

    raise typer.Exit(job.take(ahead(work, jobs or 1), device, json))


@app.command()
def memory(
    problem: Problems = None,
    strategy: Strategies = None,
    full: Full = False,
    size: Annotated[
        str, typer.Option(help="tiny, default or large; with --simulate also gpt2-xl, by a job a core.")
    ] = "tiny",
    device: Device = "cpu",
    simulate: Annotated[bool, typer.Option("--simulate", help="The same ledger from shapes: no allocation.")] = False,
    fits: Annotated[str | None, typer.Option(help="With --simulate: what fits, such as 80GB.")] = None,
    plans: Annotated[bool, typer.Option("--plans", help="With --simulate: JAX's compiled plans (minutes).")] = False,
    curves: Annotated[bool, typer.Option("--curves", help="Only the curves over losses, depth and batch.")] = False,
    jobs: Jobs = None,
    json: Json = None,
) -> None:
    """What is held, to the byte, and when is it let go? Measured beside what a closed form predicts."""
    from comparisons import results
    from comparisons.ahead import ahead
    from comparisons.memory import request
    from comparisons.problems import BEYOND

    grid = request.cells(problem or (), strategy or (), full, size, device, simulate, fits, plans, curves)
    usage.writable("--json", json)
    usage.frameworks()
    jobs = jobs or (results.cores() if size in BEYOND else 1)
    usage.device(device, jobs)

    from comparisons import job
    from comparisons import memory as question

    if simulate:
        work = question.simulate(grid, size, plans, fits, jobs)
    elif curves:
        work = ahead(question.curves(), jobs)
    else:
        work = ahead((question.narrow if problem or strategy else question.units)(grid, size, device), jobs)
    raise typer.Exit(job.take(work, device, json))


@app.command()
def cost(
    part: Annotated[
        list[str] | None,
        typer.Option("--part", help="Only flops, shared, time, peers, sweep or harness; repeat for more."),
    ] = None,
    problem: Annotated[
        list[str] | None, typer.Option("--problem", help="Only this problem or regime; repeat for more.")
    ] = None,
    strategy: Strategies = None,
    k: Annotated[list[int] | None, typer.Option("--k", help="Time with this many losses; repeat for more.")] = None,
    peer: Annotated[
        list[str] | None,
        typer.Option("--peer", help="Beside ours, only this peer, such as torchjd.jac; repeat for more."),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Every strategy, K and regime, and torch.compile.")] = False,
    device: Device = "cpu",
    json: Json = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep what the --json file holds, measure the rest.")
    ] = False,
) -> None:
    """What do the strategies cost? FLOPs beside theory; time, peak and error beside the summed gradient's.

    Rows are written as soon as they are measured. Leave the machine to it: others' work shows in the times.
    """
    from comparisons.cost import request

    request.check(part or (), problem or (), strategy or (), k or (), peer or ())
    usage.writable("--json", json)
    if resume and not json:
        raise usage.BadUsage("--resume needs --json FILE, the file to go on with")
    usage.frameworks()
    usage.device(device)

    from comparisons import cost as question
    from comparisons import job
    from comparisons.cost import room
    from comparisons.cost.regimes import KS, chosen
    from comparisons.live import Live

    room.check(k or (KS if full else (8,)), chosen(problem or ()), device)
    work = question.units(part or (), problem or (), strategy or (), k or (), full, device, peer or ())
    if not work:
        raise usage.BadUsage("these options together select nothing: leave one of --part, --problem, --strategy out")
    live = Live(json, device, resume, request.options(strategy or (), peer or (), full)) if json else None
    typer.echo(f"about {sum(unit.seconds for unit in work):.0f} s on two idle cores, less what is kept", err=True)
    raise typer.Exit(job.take(work, device, json, live=live))


@app.command("higher_order")
def higher_order_(
    full: Annotated[bool, typer.Option("--full", help="Also every mode's judge, and compiled PyTorch.")] = False,
    size: Size = "default",
    device: Device = "cpu",
    json: Json = None,
) -> None:
    """Are second derivatives equal, and where not defined? Gradients inside losses, solves; what a product costs."""
    usage.known("--size", [size], ("tiny", "default", "large"))
    usage.writable("--json", json)
    usage.frameworks()
    usage.device(device)

    from comparisons import job

    raise typer.Exit(job.take(_second_order(full, device, size), device, json))


@app.command()
def lesson(
    claim: Annotated[
        list[str] | None, typer.Option("--claim", help="Only this claim, 1 to 19; repeat for more.")
    ] = None,
    json: Json = None,
) -> None:
    """Are the lesson's 19 claims right? Each is tried in both frameworks, and the evidence decides."""
    from comparisons.lesson.claims import CLAIMS

    usage.known("--claim", claim or (), map(str, CLAIMS))
    usage.writable("--json", json)
    usage.frameworks()

    from comparisons import job
    from comparisons import lesson as question

    raise typer.Exit(job.take(question.units(map(int, claim or ())), "cpu", json))


@app.command()
def pitfalls(
    name: Annotated[
        list[str] | None, typer.Option("--name", help="Only this card, or peers, twice, unequal; repeat for more.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Also what needs a C++ compiler.")] = False,
    json: Json = None,
) -> None:
    """What goes wrong: each pitfall reproduced, its remedy at work, and where strategies are not equal."""
    from comparisons.pitfalls.table import CARDS, FULL, SECTIONS

    usage.known("--name", name or (), [*CARDS, *SECTIONS, *FULL])
    usage.writable("--json", json)
    usage.frameworks()

    from comparisons import job
    from comparisons import pitfalls as question

    raise typer.Exit(job.take(question.units(name or (), full), "cpu", json))


@app.command()
def contrast(json: Json = None) -> None:
    """The contrast in a dozen lines: README's two first blocks, run; they print the same gradients."""
    usage.writable("--json", json)
    usage.frameworks()

    from comparisons import contrast, job

    raise typer.Exit(job.take(contrast.units(), "cpu", json))


@app.command()
def graphs(json: Json = None) -> None:
    """What does each framework write down? The autograd graph and the jaxpr of the same two losses."""
    usage.writable("--json", json)
    usage.frameworks()

    from comparisons import graphs, job

    raise typer.Exit(job.take(graphs.units(), "cpu", json))


@app.command()
def angles(json: Json = None) -> None:
    """How do the losses pull? Norms of their gradients and the cosines between them, over a training run."""
    usage.writable("--json", json)
    usage.frameworks()

    from comparisons import angles, job

    raise typer.Exit(job.take(angles.units(), "cpu", json))


@app.command()
def report(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Results files; without one, report/results.json.", metavar="FILE...")
    ] = None,
    form: Annotated[str, typer.Option("--format", help="html, markdown (a summary) or csv (every table).")] = "html",
    output: Annotated[
        Path | None, typer.Option(help="The file to write; for csv, the folder. Without it, in report/.")
    ] = None,
) -> None:
    """The page that shows it all: one offline file, of one results file or of several side by side."""
    from comparisons.page import command

    raise typer.Exit(command.report(files or [Path("report/results.json")], form, output))


@app.command()
def show(strategy: Annotated[str, typer.Argument(help="A strategy, such as per_loss_retained.")]) -> None:
    """Print one strategy's two sources side by side."""
    from rich.console import Console
    from rich.panel import Panel
    from rich.syntax import Syntax
    from rich.table import Table

    from comparisons import source
    from comparisons.scenarios import EVERY

    usage.known("STRATEGY", [strategy], EVERY)
    console = Console()
    panels = []
    for side in ("torch_impl", "jax_impl"):
        path, text = source.function(side, strategy)
        if not console.is_terminal:  # to be copied, or read by a program
            print(f"# {path}\n{text}\n")
            continue
        panels.append(Panel(Syntax(text, "python", background_color="default", word_wrap=True), title=path))
    if console.width < 180:
        console.print(*panels, sep="\n")
        return
    table = Table.grid(expand=True)
    table.add_row(*panels)
    console.print(table)


@app.command()
def check(
    torch: Annotated[str, typer.Argument(help="path/to/file.py:losses or package.module:losses, in PyTorch.")],
    jax: Annotated[str, typer.Argument(help="The same, in JAX; its file may define `layout`.")],
    params: Annotated[
        Path | None, typer.Option(help="An .npz of named arrays; without it, params() of the PyTorch file.")
    ] = None,
    order: Annotated[int, typer.Option(help="2 compares Hessian-vector products as well.")] = 1,
    explain: Annotated[
        tuple[str, str] | None, typer.Option(help="LOSS PARAM: where that gradient differs, and what mapped it.")
    ] = None,
    tolerance: Annotated[float, typer.Option(help="What is allowed, of leaf scale.")] = 1e-12,
    json: Json = None,
) -> None:
    """Compare your own pair: each a function of {name: array} that returns {loss: scalar}."""
    usage.writable("--json", json)
    usage.frameworks()

    from comparisons.check import compare

    raise typer.Exit(compare(torch, jax, params, order, explain, tolerance, json))


@app.command()
def mutants(json: Json = None) -> None:
    """What do assertions on gradients miss? Planted porting bugs and correct pairs, under four of them."""
    usage.writable("--json", json)
    usage.frameworks()
    usage.installed("chex", "pip install 'gradparity[dev]'")

    from comparisons import job, mutants

    raise typer.Exit(job.take(mutants.units(), "cpu", json))


def _gradients(full, size, device, json, problems=(), strategies=(), dtypes=(), jobs=1, second=False) -> list:
    """The units of work, once everything about the request has been checked."""
    from comparisons.problems import SIZES
    from comparisons.scenarios import EVERY, STRATEGIES, cells

    usage.known("--problem", problems, SIZES)
    usage.known("--strategy", strategies, EVERY)
    usage.known("--dtype", dtypes, ("float64", "float32"))
    usage.known("--size", [size], ("tiny", "default", "large"))
    usage.writable("--json", json)
    usage.frameworks()
    usage.device(device, jobs)

    from comparisons import gradients

    table = EVERY if second or any(EVERY[name].order == 2 for name in strategies) else STRATEGIES
    return gradients.units(cells(full, problems, strategies, dtypes, table), size, device)


def _second_order(full: bool, device: str, size: str) -> list:
    """All that the orders above one add to the main job: the grid's cells first, whose programs are used again."""
    from comparisons import gradients, higher_order
    from comparisons.scenarios import SECOND_ORDER, cells

    return [*gradients.units(cells(full, table=SECOND_ORDER), size, device), *higher_order.units(full, device, size)]


def main() -> None:
    """The console script: one line and no traceback for a reader's mistake, and no word of PyTorch's to itself."""
    usage.quiet()
    status: int | None = None
    try:
        with interrupt.remembered():
            status = app(standalone_mode=False)
            sys.stdout.flush()
    except usage.BadUsage as error:
        print(f"error: {error}", file=sys.stderr)
        status = 2
    except UsageError as error:
        print(f"error: {' '.join(error.format_message().split())}", file=sys.stderr)
        status = 2
    except (BrokenPipeError, SystemExit) as error:  # typer and rich answer a closed pipe by the second
        if not isinstance(error.__context__ or error, BrokenPipeError):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        status = GONE
    except KeyboardInterrupt:
        pass  # remembered
    if interrupt.pressed:
        print("interrupted", file=sys.stderr)
        status = INTERRUPTED
    if status == INTERRUPTED:  # a framework's thread may be at work: the interpreter's own end would crash it
        sys.stdout.flush()
        os._exit(status)
    sys.exit(status or 0)
