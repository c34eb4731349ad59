"""How does a report say things to people, in English and in 中文?

Invariant: every text has both languages; a report is made from one result and these words alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")

# word -> (English, Chinese)
_WORDS: Mapping[str, tuple[str, str]] = {
    "title": ("Backtest", "回测报告"),
    "candidate": ("Candidate", "候选"),
    "baseline": ("Baseline", "基线"),
    "against": ("against", "对比"),
    "rules": ("rules", "条规则"),
    "ledger": ("recorded decisions", "已记录的决策"),
    "facts": ("table of facts", "特征数据表"),
    "events_file": ("file of events", "事件文件"),
    "events": ("Events", "事件"),
    "labelled": ("labelled", "已有标签"),
    "abuse": ("abuse", "滥用"),
    "honest": ("honest", "正常"),
    "skipped": ("Left out", "未纳入"),
    "recomputed": ("Series counted again for this", "为本次回测重新计算的序列"),
    "seconds": ("s", "秒"),
    "made_in": ("made in", "用时"),
    "stricter": ("Stricter", "更严"),
    "milder": ("Milder", "更宽"),
    "unchanged": ("Unchanged", "不变"),
    "of_events": ("of events", "占事件"),
    "blocked": ("Money declined", "拒绝金额"),
    "let_through": ("Money approved", "通过金额"),
    "recall_change": ("Recall, at least review", "召回率变化(审核及以上)"),
    "fpr_change": ("False alarms, at least review", "误报率变化(审核及以上)"),
    "outcomes": ("Outcomes", "决策结果"),
    "outcome": ("Outcome", "结果"),
    "approve": ("approve", "通过"),
    "challenge": ("challenge", "验证"),
    "review": ("review", "审核"),
    "decline": ("decline", "拒绝"),
    "count": ("Events", "事件数"),
    "amount": ("Amount", "金额"),
    "change": ("Change", "变化"),
    "transitions": ("From one outcome to another", "结果迁移"),
    "transitions_help": (
        "Rows: what the baseline decides. Columns: what the candidate decides. "
        "Above the diagonal the candidate is stricter.",
        "行为基线的结果,列为候选的结果;对角线上方表示候选更严。",
    ),
    "quality": ("Right and wrong, where it is known", "已知标签下的对错"),
    "quality_help": (
        "With 95 % intervals (Wilson; changes: Newcombe, of the same events). An event is flagged "
        "when its outcome is at least the one named.",
        "含 95% 置信区间(Wilson;变化量为同一批事件的 Newcombe 区间)。结果达到所列级别即计为命中。",
    ),
    "no_labels": (
        "No event of this range has a label yet: nothing can be said about right and wrong.",
        "该范围内的事件尚无标签,无法判断对错。",
    ),
    "at_least": ("At least", "至少"),
    "precision": ("Precision", "精确率"),
    "recall": ("Recall", "召回率"),
    "false_positive_rate": ("False-positive rate", "误报率"),
    "over_time": ("Share of events not approved, over time", "未直接通过的比例随时间变化"),
    "by_rule": ("Rules", "规则"),
    "by_rule_help": (
        "Decisive: without this rule the outcome would have been another. Changed rules first.",
        "决定性:若无此规则,结果会不同。有变动的规则排在前面。",
    ),
    "hits_plot": (
        "Hits of the candidate's rules; dark: decisive",
        "候选规则的命中数(深色为决定性)",
    ),
    "rule": ("Rule", "规则"),
    "hits": ("Hits", "命中"),
    "decisive": ("Decisive", "决定性"),
    "unknown": ("Unknown", "未知"),
    "overlap": ("Mostly with", "常同时命中"),
    "finding": ("Finding", "发现"),
    "same": ("same", "相同"),
    "changed": ("changed", "已修改"),
    "added": ("added", "新增"),
    "removed": ("removed", "已移除"),
    "shadow": ("shadow", "影子"),
    "live": ("live", "生效"),
    "adds_nothing": ("adds nothing: others decide as much", "无增益:其他规则已足够"),
    "never_hits": ("never hits", "从未命中"),
    "never_known": ("never known: its facts are missing", "始终未知:缺少所需特征"),
    "errors": ("cannot be computed for some events", "部分事件无法计算"),
    "segments": ("By segment", "分组"),
    "value": ("Value", "取值"),
    "flagged": ("Not approved", "未直接通过"),
    "declined": ("Declined", "拒绝"),
    "false_alarms": ("False alarms", "误报"),
    "examples": ("Examples", "示例"),
    "examples.false_alarms": (
        "Worst false alarms that are new: honest, and the candidate is stricter",
        "最严重的新增误报:正常事件,候选更严",
    ),
    "examples.let_through": (
        "Abuse that would be let go: the candidate is milder",
        "将被放过的滥用:候选更宽",
    ),
    "examples.stricter": (
        "Stricter, and nobody knows yet whether that is right",
        "更严,但尚无标签判断对错",
    ),
    "examples.milder": (
        "Milder, and nobody knows yet whether that is right",
        "更宽,但尚无标签判断对错",
    ),
    "none": ("none", "无"),
    "event": ("Decision", "决策"),
    "type": ("Type", "类型"),
    "at": ("Time (UTC)", "时间(UTC)"),
    "because": ("Decided by", "决定因素"),
    "notes": ("Read this first", "请先阅读"),
    "erased": ("persons who were erased", "已被删除的个人"),
    "superseded": ("answered twice", "重复作答"),
    "unreadable": ("unreadable", "无法读取"),
    "expired": ("past their retention", "超过保留期"),
    "privacy": (
        "Examples name decisions and no facts about people; the record itself can tell more, as "
        "long as it may.",
        "示例只给出决策编号,不含个人特征;在允许的期限内,可从记录中查看详情。",
    ),
    "step_hour": ("h a point", "小时/点"),
    "event.type": ("Event type", "事件类型"),
}

_NOTES: Mapping[str, tuple[str, str]] = {
    "no_events": (
        "There were no decisions in this range, so this backtest shows nothing.",
        "该范围内没有决策,本次回测没有结论。",
    ),
    "no_scores": (
        "No event has a score: both sides decide by rules alone, with what the policy says of a "
        "missing model.",
        "所有事件都没有模型分:双方仅按规则决策,并适用策略中缺少模型时的规定。",
    ),
    "unknown_facts": (
        "Facts that rules ask for are not in the data, so these rules answer `unknown`: {facts}.",
        "数据中缺少规则所需的特征,相关规则结果为未知:{facts}。",
    ),
    "replay_differs": (
        "{differ} of {compared} decisions of the baseline come out otherwise than they were "
        "recorded; list changes within a second, or another code version, can be the cause.",
        "{compared} 条基线决策中有 {differ} 条与记录不一致;可能因为名单在一秒内变动或代码版本不同。",
    ),
    "same_version": (
        "Candidate and baseline are the same version.",
        "候选与基线是同一版本。",
    ),
}


def word(name: str, language: Language) -> str:
    """Return a word; one that is not in the table is a name and stays as it is.

    >>> word("decline", "zh"), word("order.channel", "en")
    ('拒绝', 'order.channel')
    """
    texts = _WORDS.get(name)
    return name if texts is None else texts[LANGUAGES.index(language)]


def notes(result: Mapping[str, Any], language: Language) -> list[str]:
    """Return what a reader of a result must know first."""
    replay = result["replay"]
    values = {
        "facts": ", ".join(result["source"]["unknown_facts"]),
        "differ": replay["compared"] - replay["equal"],
        "compared": replay["compared"],
    }
    return [_NOTES[note][LANGUAGES.index(language)].format(**values) for note in result["notes"]]
