"""LangGraph with its SQLite checkpointer: checkpoints before each step, no engine behind them.

WAL and `synchronous=normal`, as our own server's database; `durability="sync"`: a step begins
when the last one is on disk. Whoever calls has to resume a graph that was interrupted.
"""

from __future__ import annotations

import asyncio
import operator
from typing import Annotated, Any, TypedDict

from common import STEPS, arguments, measure, note


class State(TypedDict):
    job: int
    answers: Annotated[list[str], operator.add]


def main() -> None:
    given = arguments("langgraph", "langgraph-checkpoint-sqlite")
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
    from langgraph.graph import END, START, StateGraph

    def step(number: int) -> Any:
        async def do(state: State) -> dict[str, list[str]]:
            return {"answers": [note(state["job"], number)]}

        return do

    graph = StateGraph(State)
    for number in range(1, STEPS + 1):
        graph.add_node(f"s{number}", step(number))
        first = number == 1 or given.shape == "parallel"
        graph.add_edge(START if first else f"s{number - 1}", f"s{number}")
        if number == STEPS or given.shape == "parallel":
            graph.add_edge(f"s{number}", END)

    async def run() -> None:
        async with AsyncSqliteSaver.from_conn_string(str(given.folder / "graph.sqlite")) as saver:
            await saver.setup()
            await saver.conn.execute("PRAGMA synchronous=normal")
            compiled = graph.compile(checkpointer=saver)

            async def job(number: int) -> None:
                config: Any = {"configurable": {"thread_id": str(number)}, "recursion_limit": 50}
                begin: Any = {"job": number, "answers": []}
                made = await compiled.ainvoke(begin, config, durability="sync")
                assert len(made["answers"]) == STEPS

            await measure(given, job)

    asyncio.run(run())


if __name__ == "__main__":
    main()
