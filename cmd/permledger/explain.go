package main

// explain: what check answers, and the events behind it.

import "github.com/spf13/cobra"

func newExplainCommand(a *app) *cobra.Command {
	var f decisionFlags
	cmd := &cobra.Command{
		Use:     "explain SUBJECT ACTION RESOURCE",
		Short:   "Why may, or may not, SUBJECT do ACTION to RESOURCE?",
		GroupID: groupQuestions,
		Long: `explain answers as check does, and shows the events behind the answer: who recorded them, when and for what
reason. For a no it says what was missing. It exits with 0 for a yes and 1 for a no.`,
		Example: `  permledger explain professional:anna view_record client:c1
  permledger explain professional:anna view_record client:c1 --at 2026-03-01 --known-at now`,
		Args:              arguments(3, "SUBJECT", "ACTION", "RESOURCE"),
		ValidArgsFunction: a.completeQuestion,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.decision(cmd.Context(), "explain", args, &f)
		},
	}
	f.register(cmd)
	return cmd
}
