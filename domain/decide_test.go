package domain

// Commands as histories: given these events, when this is asked, then these events follow, or this refusal.

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// begun is where every history begins: seqs 1 to 9.
const begun = `
	@0 catalogue.adopted document=care
	@0 account.opened account=staff:root
	@0 role.assigned principal=staff:root role=manager
	@0 account.opened account=staff:anna
	@0 account.opened account=staff:bob
	@0 account.opened account=client:x
	@0 account.opened account=client:y
	@0 account.opened account=team:night
	@0 account.opened account=friend:fay
`

// care2rules adopts the catalogue that has every rule (seq 10).
const care2rules = `
	@0 catalogue.adopted document=rules`

// founders makes root the one founder under it (seq 11), and another makes anna one too.
const (
	founders = care2rules + `
		@1 role.assigned principal=staff:root role=keeper`
	another = `
		@1 role.assigned principal=staff:anna role=keeper
		@1 role.assigned principal=staff:anna role=manager`
)

// A when that is an event's type, and not a command, is put to Admit: what an import may bring.
var decisions = []struct{ name, given, when, then string }{
	// Accounts.
	{"an account is opened", ``, `@5 account.open account=staff:cees display_name=Cees reason=new id=k1`, `account.opened account=staff:cees display_name=Cees`},
	{"who opens a client's account as a therapist is linked to it", `@1 role.assigned principal=staff:anna role=therapist`,
		`@5 account.open by=staff:anna account=client:z reason=intake`, `account.opened account=client:z
		caseload.linked principal=staff:anna client=client:z relation=therapist`},
	{"who opens it without that role is not", ``, `@5 account.open account=client:z`, `account.opened account=client:z`},
	{"opened twice", ``, `@5 account.open account=client:x`, `refused conflict already_opened`},
	{"opened though it was deactivated", `@1 account.deactivated account=client:x`, `@5 account.open account=client:x`, `refused conflict already_opened`},
	{"opened though it is a guest's", `@1 guest.invited guest=guest:g call=call:1 until=@2`, `@5 account.open account=guest:g`, `refused conflict already_opened`},
	{"a kind that there is not", ``, `@5 account.opened account=robot:r`, `refused rule broken unknown_kind`},
	{"deactivated", ``, `@5 account.deactivate account=staff:anna`, `account.deactivated account=staff:anna`},
	{"deactivated twice", `@1 account.deactivated account=staff:anna`, `@5 account.deactivate account=staff:anna`, `refused conflict not_active`},
	{"deactivated, but never opened", ``, `@5 account.deactivate account=staff:nobody`, `refused unknown unknown_account`},
	{"reactivated", `@1 account.deactivated account=staff:anna`, `@5 account.reactivate account=staff:anna`, `account.reactivated account=staff:anna`},
	{"reactivated while active", ``, `@5 account.reactivate account=staff:anna`, `refused conflict already_active`},
	{"reactivated, but never opened", ``, `@5 account.reactivate account=staff:nobody`, `refused unknown unknown_account`},

	// Authority.
	{"an actor that never was", ``, `@5 account.open by=staff:nobody account=client:z`, `refused unknown unknown_account`},
	{"an actor without the permission", ``, `@5 role.assign by=staff:anna principal=staff:anna role=manager`, `refused not permitted not_permitted`},
	{"an actor that is locked", `@1 account.locked principal=staff:root`, `@5 account.unlock principal=staff:root`, `refused not permitted not_permitted`},
	{"an actor that is deactivated", `@1 account.deactivated account=staff:root`, `@5 account.open account=client:z`, `refused not permitted not_permitted`},
	{"an actor from whom it is withheld", `@1 permission.withheld principal=staff:root on=client action=account.open`, `@5 account.open account=client:z`, `refused not permitted not_permitted`},
	{"an actor to whom it is added", `@1 permission.added principal=staff:bob on=client action=account.lock client=client:x`, `@5 account.lock by=staff:bob principal=client:x`, `account.locked principal=client:x`},
	{"an actor to whom it is added for another", `@1 permission.added principal=staff:bob on=client action=account.lock client=client:x`, `@5 account.lock by=staff:bob principal=client:y`, `refused not permitted not_permitted`},
	{"a bar that no event says", `@1 guest.invited guest=guest:g call=call:1 until=@2
		@1 catalogue.adopted document=barred`, `@1 call.end by=guest:g call=call:1`, `refused not permitted not_permitted`},
	{"a relation that asks for another action", ``, `@5 caseload.link principal=friend:fay client=client:x relation=friend`, `refused not permitted not_permitted`},
	{"and whoever has that action", ``, `@5 caseload.link by=client:x principal=friend:fay client=client:x relation=friend`, `caseload.linked principal=friend:fay client=client:x relation=friend`},
	{"but not about others", ``, `@5 caseload.link by=client:x principal=friend:fay client=client:y relation=friend`, `refused not permitted not_permitted`},
	{"and unlinking too", `@1 caseload.linked principal=friend:fay client=client:x relation=friend`, `@5 caseload.unlink by=client:x principal=friend:fay client=client:x relation=friend`, `caseload.unlinked principal=friend:fay client=client:x relation=friend`},

	// Roles.
	{"a role", ``, `@5 role.assign principal=staff:anna role=therapist from=@6 until=@9`, `role.assigned principal=staff:anna role=therapist from=@6 until=@9`},
	{"a role that there is not", ``, `@5 role.assign principal=staff:anna role=wizard`, `refused rule broken unknown_role`},
	{"a role for another kind", ``, `@5 role.assign principal=client:x role=therapist`, `refused rule broken role_not_for_kind`},
	{"a role for nobody", ``, `@5 role.assign principal=staff:nobody role=therapist`, `refused unknown unknown_account`},
	{"a role held already", `@1 role.assigned principal=staff:anna role=therapist`, `@5 role.assign principal=staff:anna role=therapist`, `refused conflict already_assigned`},
	{"a role that is to come already", `@1 role.assigned principal=staff:anna role=therapist from=@20`, `@5 role.assign principal=staff:anna role=therapist until=@9`, `refused conflict already_assigned`},
	{"a role held then", `@1 role.assigned principal=staff:anna role=therapist until=@3`, `@5 role.assign principal=staff:anna role=therapist from=@2 until=@4`, `refused conflict already_assigned`},
	{"a role that ran out", `@1 role.assigned principal=staff:anna role=therapist until=@3`, `@5 role.assign principal=staff:anna role=therapist`, `role.assigned principal=staff:anna role=therapist`},
	{"a late role that ends as the present one begins", `@4 role.assigned principal=staff:anna role=therapist`, `@5 role.assign principal=staff:anna role=therapist from=@2 until=@4`, `role.assigned principal=staff:anna role=therapist from=@2 until=@4`},
	{"a role that ends as it begins", ``, `@5 role.assign principal=staff:anna role=therapist from=@6 until=@6`, `refused rule broken empty_interval`},
	{"a role that ended before it is given", ``, `@5 role.assign principal=staff:anna role=therapist until=@5`, `refused rule broken empty_interval`},
	{"two of a group", `@1 role.assigned principal=staff:anna role=full`, `@5 role.assign principal=staff:anna role=limited`, `refused rule broken one_of_group`},
	{"two of a group, to come", `@1 role.assigned principal=staff:anna role=full from=@20`, `@5 role.assign principal=staff:anna role=limited`, `refused rule broken one_of_group`},
	{"two of a group, one after the other", `@1 role.assigned principal=staff:anna role=full from=@20`, `@5 role.assign principal=staff:anna role=limited until=@20`, `role.assigned principal=staff:anna role=limited until=@20`},
	{"a role whose need is not held", ``, `@5 role.assign principal=staff:anna role=senior`, `refused rule broken role_needed`},
	{"a role whose need is held", `@1 role.assigned principal=staff:anna role=limited`, `@5 role.assign principal=staff:anna role=senior`, `role.assigned principal=staff:anna role=senior`},
	{"a role whose need is held then", `@1 role.assigned principal=staff:anna role=limited from=@8`, `@5 role.assign principal=staff:anna role=senior from=@8`, `role.assigned principal=staff:anna role=senior from=@8`},
	{"a role whose need is over by then", `@1 role.assigned principal=staff:anna role=limited until=@8`, `@5 role.assign principal=staff:anna role=senior from=@8`, `refused rule broken role_needed`},
	{"a role taken", `@1 role.assigned principal=staff:anna role=therapist`, `@5 role.revoke principal=staff:anna role=therapist`, `role.revoked principal=staff:anna role=therapist`},
	{"a role taken before it begins", `@1 role.assigned principal=staff:anna role=therapist from=@9`, `@5 role.revoke principal=staff:anna role=therapist`, `role.revoked principal=staff:anna role=therapist`},
	{"a role taken that is not held", ``, `@5 role.revoke principal=staff:anna role=therapist`, `refused conflict not_assigned`},
	{"a role taken that ran out", `@1 role.assigned principal=staff:anna role=therapist until=@5`, `@5 role.revoke principal=staff:anna role=therapist`, `refused conflict not_assigned`},
	{"a role taken that there is not", ``, `@5 role.revoke principal=staff:anna role=wizard`, `refused rule broken unknown_role`},
	{"a role taken that another needs", `@1 role.assigned principal=staff:anna role=full
		@1 role.assigned principal=staff:anna role=senior`, `@5 role.revoke principal=staff:anna role=full`, `refused rule broken role_needed`},
	{"a role taken that another needs later", `@1 role.assigned principal=staff:anna role=full
		@1 role.assigned principal=staff:anna role=senior from=@9`, `@5 role.revoke principal=staff:anna role=full`, `refused rule broken role_needed`},
	{"a role taken that another needed, and no more does", `@1 role.assigned principal=staff:anna role=full
		@1 role.assigned principal=staff:anna role=senior until=@5`, `@5 role.revoke principal=staff:anna role=full`, `role.revoked principal=staff:anna role=full`},
	{"a role taken that another needs, of which another is held", care2rules + `
		@1 role.assigned principal=staff:anna role=limited until=@9
		@1 role.assigned principal=staff:anna role=full from=@9
		@1 role.assigned principal=staff:anna role=senior from=@9`, `@5 role.revoke principal=staff:anna role=limited`, `role.revoked principal=staff:anna role=limited`},
	{"a role whose need runs out before it does", `@1 role.assigned principal=staff:anna role=limited until=@8`, `@5 role.assign principal=staff:anna role=senior`, `refused rule broken role_needed`},
	{"a role whose need runs out as it does", `@1 role.assigned principal=staff:anna role=limited until=@8`, `@5 role.assign principal=staff:anna role=senior until=@8`, `role.assigned principal=staff:anna role=senior until=@8`},
	{"a role whose needs follow each other", `@1 role.assigned principal=staff:anna role=limited until=@8
		@2 role.assigned principal=staff:anna role=full from=@8`, `@5 role.assign principal=staff:anna role=senior`, `role.assigned principal=staff:anna role=senior`},
	{"a role whose needs leave a gap", `@1 role.assigned principal=staff:anna role=limited until=@8
		@2 role.assigned principal=staff:anna role=full from=@9`, `@5 role.assign principal=staff:anna role=senior`, `refused rule broken role_needed`},
	{"a late role, over by now, whose need was held then", `@1 role.assigned principal=staff:anna role=limited until=@4`, `@5 role.assign principal=staff:anna role=senior from=@2 until=@4`, `role.assigned principal=staff:anna role=senior from=@2 until=@4`},
	{"a late role, over by now, whose need was not held then", `@3 role.assigned principal=staff:anna role=limited`, `@5 role.assign principal=staff:anna role=senior from=@2 until=@4`, `refused rule broken role_needed`},
	{"a late role that was needed before its need was held", `@3 role.assigned principal=staff:anna role=limited`, `@5 role.assign principal=staff:anna role=senior from=@2`, `refused rule broken role_needed`},
	{"a role whose need needs another", care2rules, `@5 role.assign principal=staff:anna role=chief`, `refused rule broken role_needed`},
	{"a role by which there are more links than it may have", care2rules + `
		@1 role.assigned principal=staff:anna role=full
		@1 caseload.linked principal=staff:anna client=client:x relation=reader
		@1 caseload.linked principal=staff:anna client=client:y relation=reader
		@4 role.revoked principal=staff:anna role=full`, `@5 role.assign principal=staff:anna role=limited`, `refused rule broken too_many_links`},
	{"a role by which there are as many links as it may have", care2rules + `
		@1 role.assigned principal=staff:anna role=full
		@1 caseload.linked principal=staff:anna client=client:x relation=reader
		@1 caseload.linked principal=staff:anna client=client:y relation=reader until=@5
		@4 role.revoked principal=staff:anna role=full`, `@5 role.assign principal=staff:anna role=limited`, `role.assigned principal=staff:anna role=limited`},
	{"a role taken that the catalogue has no more", `@1 role.assigned principal=staff:anna role=full
		@2 catalogue.adopted document=care-later`, `@5 role.revoke principal=staff:anna role=full`, `role.revoked principal=staff:anna role=full`},

	// Links.
	{"a link", `@1 role.assigned principal=staff:anna role=therapist`, `@5 caseload.link principal=staff:anna client=client:x relation=therapist until=@9`, `caseload.linked principal=staff:anna client=client:x relation=therapist until=@9`},
	{"a link of a team", ``, `@5 caseload.link principal=team:night client=client:x relation=therapist`, `caseload.linked principal=team:night client=client:x relation=therapist`},
	{"a link that there is not", ``, `@5 caseload.link principal=staff:anna client=client:x relation=aunt`, `refused rule broken unknown_relation`},
	{"a link for another kind", ``, `@5 caseload.link principal=friend:fay client=client:x relation=therapist`, `refused rule broken relation_not_for_kind`},
	{"a link without the role", ``, `@5 caseload.link principal=staff:anna client=client:x relation=therapist`, `refused rule broken role_needed`},
	{"a link with the role to come", `@1 role.assigned principal=staff:anna role=therapist from=@8`, `@5 caseload.link principal=staff:anna client=client:x relation=therapist from=@8`, `caseload.linked principal=staff:anna client=client:x relation=therapist from=@8`},
	{"a late link that holds on without the role", `@1 role.assigned principal=staff:anna role=therapist until=@4`, `@5 caseload.link principal=staff:anna client=client:x relation=therapist from=@2`, `refused rule broken role_needed`},
	{"a late link, over by now, with the role then", `@1 role.assigned principal=staff:anna role=therapist until=@4`, `@5 caseload.link principal=staff:anna client=client:x relation=therapist from=@2 until=@3`, `caseload.linked principal=staff:anna client=client:x relation=therapist from=@2 until=@3`},
	{"a link to nobody", ``, `@5 caseload.link principal=team:night client=client:nobody relation=restricted`, `refused unknown unknown_account`},
	{"a link of nobody", ``, `@5 caseload.link principal=staff:nobody client=client:x relation=restricted`, `refused unknown unknown_account`},
	{"a link to somebody unprotected", ``, `@5 caseload.linked principal=staff:anna client=staff:bob relation=restricted`, `refused rule broken not_protected`},
	{"a link twice", `@1 caseload.linked principal=staff:anna client=client:x relation=restricted`, `@5 caseload.link principal=staff:anna client=client:x relation=restricted`, `refused conflict already_linked`},
	{"a link in another way", `@1 caseload.linked principal=staff:anna client=client:x relation=restricted
		@1 role.assigned principal=staff:anna role=full`, `@5 caseload.link principal=staff:anna client=client:x relation=reader`, `caseload.linked principal=staff:anna client=client:x relation=reader`},
	{"more links than the role may have", `@1 role.assigned principal=staff:anna role=limited
		@1 caseload.linked principal=staff:anna client=client:x relation=restricted`, `@5 caseload.link principal=staff:anna client=client:y relation=reader`, `refused rule broken too_many_links`},
	{"more links than the role to come may have", `@1 role.assigned principal=staff:anna role=full until=@9
		@1 role.assigned principal=staff:anna role=limited from=@9
		@1 caseload.linked principal=staff:anna client=client:x relation=reader`, `@5 caseload.link principal=staff:anna client=client:y relation=restricted`, `refused rule broken too_many_links`},
	{"links one after the other", `@1 role.assigned principal=staff:anna role=limited
		@1 caseload.linked principal=staff:anna client=client:x relation=reader until=@9`, `@5 caseload.link principal=staff:anna client=client:y relation=reader from=@9`, `caseload.linked principal=staff:anna client=client:y relation=reader from=@9`},
	{"links in another relation than the one that bounds them", `@1 caseload.linked principal=staff:anna client=client:x relation=restricted
		@1 role.assigned principal=staff:anna role=limited`, `@5 caseload.link principal=staff:anna client=client:y relation=restricted`, `caseload.linked principal=staff:anna client=client:y relation=restricted`},
	{"as many links as the role may have", `@1 role.assigned principal=staff:anna role=limited
		@1 caseload.linked principal=staff:anna client=client:x relation=restricted until=@5`, `@5 caseload.link principal=staff:anna client=client:y relation=reader`, `caseload.linked principal=staff:anna client=client:y relation=reader`},
	{"unlinked", `@1 caseload.linked principal=staff:anna client=client:x relation=restricted`, `@5 caseload.unlink principal=staff:anna client=client:x relation=restricted`, `caseload.unlinked principal=staff:anna client=client:x relation=restricted`},
	{"unlinked, but not linked", ``, `@5 caseload.unlink principal=staff:anna client=client:x relation=restricted`, `refused conflict not_linked`},
	{"unlinked from a relation that there is not", ``, `@5 caseload.unlink principal=staff:anna client=client:x relation=aunt`, `refused rule broken unknown_relation`},
	{"unlinked from one that the catalogue has no more", `@1 caseload.linked principal=staff:anna client=client:x relation=restricted
		@2 catalogue.adopted document=care-later`, `@5 caseload.unlink principal=staff:anna client=client:x relation=restricted`, `caseload.unlinked principal=staff:anna client=client:x relation=restricted`},

	// Teams.
	{"joined", ``, `@5 team.join team=team:night member=staff:anna from=@3`, `team.joined team=team:night member=staff:anna from=@3`},
	{"joined twice", `@1 team.joined team=team:night member=staff:anna`, `@5 team.join team=team:night member=staff:anna`, `refused conflict already_member`},
	{"joined what is no team", ``, `@5 team.joined team=staff:bob member=staff:anna`, `refused rule broken not_a_group`},
	{"joined what never was", ``, `@5 team.join team=team:day member=staff:anna`, `refused unknown unknown_account`},
	{"a team in a team", `@1 account.opened account=team:day`, `@5 team.join team=team:night member=team:day`, `refused rule broken group_in_group`},
	{"left", `@1 team.joined team=team:night member=staff:anna`, `@5 team.leave team=team:night member=staff:anna`, `team.left team=team:night member=staff:anna`},
	{"left, but not in it", ``, `@5 team.leave team=team:night member=staff:anna`, `refused conflict not_member`},

	// Temporary access.
	{"granted, under the event's id", `@1 role.assigned principal=staff:anna role=therapist`, `@5 access.grant by=staff:anna principal=staff:anna client=client:x profile=emergency until=@13 reason=fall`, `access.granted grant=new1 principal=staff:anna client=client:x profile=emergency until=@13`},
	{"granted, under the caller's", ``, `@5 access.grant grant=g principal=staff:root client=client:x profile=visit from=@9 until=@999`, `access.granted grant=g principal=staff:root client=client:x profile=visit from=@9 until=@999`},
	{"granted by a name that is taken", `@1 access.granted grant=g principal=friend:fay client=client:x profile=visit until=@2`, `@5 access.grant grant=g principal=staff:root client=client:x profile=visit until=@9`, `refused conflict grant_exists`},
	{"granted without a reason", `@1 role.assigned principal=staff:anna role=therapist`, `@5 access.grant by=staff:anna principal=staff:anna client=client:x profile=emergency until=@9`, `refused rule broken reason_missing`},
	{"granted without the role", ``, `@5 access.grant principal=staff:root client=client:x profile=emergency until=@9 reason=r`, `refused rule broken role_needed`},
	{"granted for too long", `@1 role.assigned principal=staff:anna role=therapist`, `@5 access.grant by=staff:anna principal=staff:anna client=client:x profile=emergency until=@14 reason=r`, `refused rule broken beyond_longest`},
	{"granted for as long as may be, later", `@1 role.assigned principal=staff:anna role=therapist`, `@5 access.grant by=staff:anna principal=staff:anna client=client:x profile=emergency from=@10 until=@18 reason=r`, `access.granted grant=new1 principal=staff:anna client=client:x profile=emergency from=@10 until=@18`},
	{"granted in the past", ``, `@5 access.grant principal=staff:root client=client:x profile=visit from=@2 until=@5`, `refused rule broken grant_in_past`},
	{"granted by a profile that there is not", ``, `@5 access.grant principal=staff:root client=client:x profile=party until=@9`, `refused rule broken unknown_profile`},
	{"granted for somebody unprotected", ``, `@5 access.granted principal=friend:fay client=staff:anna profile=visit until=@9`, `refused rule broken not_protected`},
	{"granted to nobody", ``, `@5 access.granted principal=friend:no client=client:x profile=visit until=@9`, `refused unknown unknown_account`},
	{"a grant revoked", `@1 access.granted grant=g principal=friend:fay client=client:x profile=visit until=@9`, `@5 access.revoke grant=g`, `access.revoked grant=g`},
	{"granted to somebody else", `@1 role.assigned principal=staff:anna role=therapist`, `@5 access.grant principal=staff:anna client=client:x profile=emergency until=@9 reason=r`, `refused not permitted not_own_access`},
	{"granted to somebody else, in an import", ``, `@5 access.granted grant=g principal=friend:fay client=client:x profile=visit until=@9`, `access.granted grant=g principal=friend:fay client=client:x profile=visit until=@9`},
	{"granted for too long, since before now", `@1 role.assigned principal=staff:anna role=therapist`, `@5 access.grant by=staff:anna principal=staff:anna client=client:x profile=emergency from=@4 until=@13 reason=r`, `refused rule broken beyond_longest`},
	{"granted again before it is over, for another reason", `@1 role.assigned principal=staff:anna role=therapist
		@4 access.granted by=staff:anna grant=g principal=staff:anna client=client:x profile=emergency until=@12 reason=r`, `@5 access.grant by=staff:anna principal=staff:anna client=client:x profile=emergency until=@13 reason=s`, `access.granted grant=new1 principal=staff:anna client=client:x profile=emergency until=@13`},
	{"a grant stretched at its end", `@1 access.granted by=friend:fay grant=g principal=friend:fay client=client:x profile=visit from=@2 until=@9`, `@5 fact.correct corrects=10 until=@10 reason=slip`, `refused rule broken grant_stretched`},
	{"a grant stretched at its beginning", `@1 access.granted by=friend:fay grant=g principal=friend:fay client=client:x profile=visit from=@2 until=@9`, `@5 fact.correct corrects=10 from=@1 reason=slip`, `refused rule broken grant_stretched`},
	{"a grant shortened", `@1 access.granted by=friend:fay grant=g principal=friend:fay client=client:x profile=visit from=@2 until=@9`, `@5 fact.correct corrects=10 from=@3 until=@8 reason=slip`, `fact.corrected corrects=10 from=@3 until=@8`},
	{"a grant stretched after it was shortened", `@1 access.granted by=friend:fay grant=g principal=friend:fay client=client:x profile=visit from=@2 until=@9
		@3 fact.corrected corrects=10 until=@4`, `@5 fact.correct corrects=10 until=@9 reason=slip`, `refused rule broken grant_stretched`},
	{"a grant stretched after it was ended", `@1 access.granted by=friend:fay grant=g principal=friend:fay client=client:x profile=visit from=@2 until=@9
		@3 access.revoked grant=g`, `@5 fact.correct corrects=10 until=@4 reason=slip`, `refused rule broken grant_stretched`},
	{"a grant voided", `@1 access.granted by=friend:fay grant=g principal=friend:fay client=client:x profile=visit until=@9`, `@5 fact.correct corrects=10 void=true reason=slip`, `fact.corrected corrects=10 void=true`},
	{"the own grant revoked by who may take one", `@1 role.assigned principal=staff:anna role=therapist
		@4 access.granted by=staff:anna grant=g principal=staff:anna client=client:x profile=visit until=@9`, `@5 access.revoke by=staff:anna grant=g`, `access.revoked grant=g`},
	{"the own grant revoked by who may take none", `@4 access.granted by=friend:fay grant=g principal=friend:fay client=client:x profile=visit until=@9`, `@5 access.revoke by=friend:fay grant=g`, `refused not permitted not_permitted`},
	{"another's grant revoked by who may take one", `@1 role.assigned principal=staff:anna role=therapist
		@4 access.granted by=friend:fay grant=g principal=friend:fay client=client:x profile=visit until=@9`, `@5 access.revoke by=staff:anna grant=g`, `refused not permitted not_permitted`},
	{"a grant revoked that is over", `@1 access.granted grant=g principal=friend:fay client=client:x profile=visit until=@5`, `@5 access.revoke grant=g`, `refused conflict grant_over`},
	{"a grant revoked that there is not", ``, `@5 access.revoke grant=g`, `refused unknown unknown_grant`},
	{"the same, in an import", ``, `@5 access.revoked grant=g`, `refused unknown unknown_grant`},
	{"a grant reviewed", `@1 access.granted by=friend:fay grant=g principal=friend:fay client=client:x profile=visit until=@5`, `@5 access.review grant=g verdict=unclear`, `access.reviewed grant=g verdict=unclear`},
	{"a grant reviewed twice", `@1 access.granted by=friend:fay grant=g principal=friend:fay client=client:x profile=visit until=@5
		@2 access.reviewed grant=g verdict=unclear`, `@5 access.review grant=g verdict=justified`, `refused conflict already_reviewed`},
	{"a grant reviewed by whose it is", `@1 access.granted grant=g principal=staff:root client=client:x profile=visit until=@5`, `@5 access.review grant=g verdict=justified`, `refused rule broken own_grant`},
	{"a grant reviewed by who granted it", `@1 access.granted grant=g principal=friend:fay client=client:x profile=visit until=@5`, `@5 access.review grant=g verdict=justified`, `refused rule broken own_grant`},
	{"a grant reviewed before it begins", `@1 access.granted by=friend:fay grant=g principal=friend:fay client=client:x profile=visit from=@6 until=@9`, `@5 access.review grant=g verdict=justified`, `refused conflict grant_not_begun`},
	{"a grant reviewed while it lasts", `@1 access.granted by=friend:fay grant=g principal=friend:fay client=client:x profile=visit from=@5 until=@9`, `@5 access.review grant=g verdict=justified`, `access.reviewed grant=g verdict=justified`},
	{"a grant reviewed that never was", ``, `@5 access.reviewed grant=g verdict=justified`, `refused unknown unknown_grant`},
	{"a grant reviewed with a word that there is not", `@1 access.granted grant=g principal=friend:fay client=client:x profile=visit until=@5`, `@5 access.review grant=g verdict=fine`, `refused malformed bad_verdict`},

	// Individual permissions.
	{"a permission added", ``, `@5 permission.add principal=staff:anna on=client action=view client=client:x`, `permission.added principal=staff:anna on=client action=view client=client:x`},
	{"a permission added that no holder of a role gets so", care2rules + `
		@1 role.assigned principal=staff:anna role=limited`, `@5 permission.add principal=staff:anna on=client action=view`, `refused rule broken never_individually`},
	{"the same for one client, in an import", care2rules + `
		@1 role.assigned principal=staff:anna role=limited`, `@5 permission.added principal=staff:anna on=client action=count client=client:x`, `refused rule broken never_individually`},
	{"the same, to who holds the role no more", care2rules + `
		@1 role.assigned principal=staff:anna role=limited until=@5`, `@5 permission.add principal=staff:anna on=client action=view`, `permission.added principal=staff:anna on=client action=view`},
	{"the same, withheld", care2rules + `
		@1 role.assigned principal=staff:anna role=limited`, `@5 permission.withhold principal=staff:anna on=client action=view`, `permission.withheld principal=staff:anna on=client action=view`},
	{"another action, to a holder of that role", care2rules + `
		@1 role.assigned principal=staff:anna role=limited`, `@5 permission.add principal=staff:anna on=client action=access.review`, `permission.added principal=staff:anna on=client action=access.review`},
	{"a permission withheld", ``, `@5 permission.withhold principal=staff:anna on=platform action=read`, `permission.withheld principal=staff:anna on=platform action=read`},
	{"a permission added that is withheld", `@1 permission.withheld principal=staff:anna on=client action=view`, `@5 permission.add principal=staff:anna on=client action=view`, `refused conflict exception_stands`},
	{"a permission withheld that is added", `@1 permission.added principal=staff:anna on=client action=view`, `@5 permission.withhold principal=staff:anna on=client action=view`, `refused conflict exception_stands`},
	{"a permission withheld for one where it is added for all", `@1 permission.added principal=staff:anna on=client action=view`, `@5 permission.withhold principal=staff:anna on=client action=view client=client:x`, `permission.withheld principal=staff:anna on=client action=view client=client:x`},
	{"a permission for what there is not", ``, `@5 permission.add principal=staff:anna on=moon action=view`, `refused rule broken unknown_kind`},
	{"a permission to do what there is not", ``, `@5 permission.add principal=staff:anna on=client action=fly`, `refused rule broken unknown_action`},
	{"a permission for nobody", ``, `@5 permission.add principal=staff:nobody on=client action=view`, `refused unknown unknown_account`},
	{"a permission for one unprotected", ``, `@5 permission.add principal=staff:anna on=client action=view client=staff:bob`, `refused rule broken not_protected`},
	{"a permission restored", `@1 permission.withheld principal=staff:anna on=client action=view`, `@5 permission.restore principal=staff:anna on=client action=view`, `permission.restored principal=staff:anna on=client action=view`},
	{"a permission restored that is as it was", `@1 permission.withheld principal=staff:anna on=client action=view client=client:x`, `@5 permission.restore principal=staff:anna on=client action=view`, `refused conflict no_exception`},
	{"a permission restored whose action the catalogue has no more", `@1 permission.added principal=staff:anna on=client action=count
		@2 catalogue.adopted document=care-later`, `@5 permission.restore principal=staff:anna on=client action=count`, `permission.restored principal=staff:anna on=client action=count`},

	// Resources.
	{"registered", ``, `@5 resource.register resource=journal:1 client=client:x created_by=staff:anna`, `resource.registered resource=journal:1 client=client:x created_by=staff:anna`},
	{"registered by who may begin one, by link", care2rules + `
		@1 role.assigned principal=staff:anna role=therapist
		@1 caseload.linked principal=staff:anna client=client:x relation=therapist`, `@5 resource.register by=staff:anna resource=journal:1 client=client:x created_by=staff:bob`, `resource.registered resource=journal:1 client=client:x created_by=staff:bob`},
	{"registered for another client than one may begin for", care2rules + `
		@1 role.assigned principal=staff:anna role=therapist
		@1 caseload.linked principal=staff:anna client=client:x relation=therapist`, `@5 resource.register by=staff:anna resource=journal:1 client=client:y created_by=staff:anna`, `refused not permitted not_permitted`},
	{"registered by who may begin what is created by oneself", care2rules, `@5 resource.register resource=journal:1 client=client:x created_by=staff:root`, `resource.registered resource=journal:1 client=client:x created_by=staff:root`},
	{"registered as another's by who may begin the own alone", care2rules, `@5 resource.register resource=journal:1 client=client:x created_by=staff:anna`, `refused not permitted not_permitted`},
	{"removed by who may drop it", care2rules + `
		@1 resource.registered resource=journal:1 client=client:x created_by=staff:root`, `@5 resource.remove resource=journal:1`, `resource.removed resource=journal:1`},
	{"removed by who may drop the own alone", care2rules + `
		@1 resource.registered resource=journal:1 client=client:x created_by=staff:anna`, `@5 resource.remove resource=journal:1`, `refused not permitted not_permitted`},
	{"removed by who may drop it, and is nobody to the client", care2rules + `
		@1 resource.registered resource=journal:1 client=client:x created_by=staff:anna`, `@5 resource.remove by=client:y resource=journal:1`, `refused not permitted not_permitted`},
	{"removed by whose it is", care2rules + `
		@1 resource.registered resource=journal:1 client=client:x created_by=staff:anna`, `@5 resource.remove by=client:x resource=journal:1`, `resource.removed resource=journal:1`},
	{"registered twice", `@1 resource.registered resource=journal:1 client=client:x created_by=staff:anna`, `@5 resource.register resource=journal:1 client=client:y created_by=staff:anna`, `refused conflict already_registered`},
	{"registered again", `@1 resource.registered resource=journal:1 client=client:x created_by=staff:anna
		@2 resource.removed resource=journal:1`, `@5 resource.register resource=journal:1 client=client:y created_by=staff:anna`, `resource.registered resource=journal:1 client=client:y created_by=staff:anna`},
	{"registered, of a type that belongs to nobody", ``, `@5 resource.register resource=platform:1 client=client:x created_by=staff:anna`, `refused rule broken unknown_kind`},
	{"registered for somebody unprotected", ``, `@5 resource.registered resource=journal:1 client=staff:bob created_by=staff:anna`, `refused rule broken not_protected`},
	{"registered as created by nobody", ``, `@5 resource.register resource=journal:1 client=client:x created_by=staff:nobody`, `refused unknown unknown_account`},
	{"removed", `@1 resource.registered resource=journal:1 client=client:x created_by=staff:anna`, `@5 resource.remove resource=journal:1`, `resource.removed resource=journal:1`},
	{"removed, but not there", ``, `@5 resource.remove resource=journal:1`, `refused unknown unknown_resource`},
	{"the same, in an import", ``, `@5 resource.removed resource=journal:1`, `refused conflict not_registered`},

	// Signing in.
	{"a failed sign-in", ``, `@5 signin.fail by=staff:anna principal=staff:anna`, `signin.failed principal=staff:anna`},
	{"the one that locks", `@1 signin.failed principal=staff:anna
		@2 signin.failed principal=staff:anna`, `@5 signin.fail by=staff:anna principal=staff:anna id=k1`, `signin.failed principal=staff:anna
		account.locked principal=staff:anna cause=3~failed~sign-ins`},
	{"one more when locked", `@1 signin.failed principal=staff:anna
		@2 signin.failed principal=staff:anna
		@3 account.locked principal=staff:anna`, `@5 signin.fail principal=staff:anna`, `signin.failed principal=staff:anna`},
	{"one more when locked by hand, which is recorded and locks no more", `@1 signin.failed principal=staff:anna
		@2 account.locked principal=staff:anna`, `@5 signin.fail principal=staff:anna`, `signin.failed principal=staff:anna`},
	{"what failed while locked counts no more after an unlocking", `@1 account.locked principal=staff:anna
		@2 signin.failed principal=staff:anna
		@2 signin.failed principal=staff:anna
		@3 signin.failed principal=staff:anna
		@4 account.unlocked principal=staff:anna`, `@5 signin.fail principal=staff:anna`, `signin.failed principal=staff:anna`},
	{"the third after an unlocking locks again", `@1 account.locked principal=staff:anna
		@2 signin.failed principal=staff:anna
		@3 account.unlocked principal=staff:anna
		@4 signin.failed principal=staff:anna
		@4 signin.failed principal=staff:anna`, `@5 signin.fail principal=staff:anna`, `signin.failed principal=staff:anna
		account.locked principal=staff:anna cause=3~failed~sign-ins`},
	{"the third of the last founder locks too", founders + `
		@2 signin.failed principal=staff:root
		@2 signin.failed principal=staff:root`, `@5 signin.fail principal=staff:root`, `signin.failed principal=staff:root
		account.locked principal=staff:root cause=3~failed~sign-ins`},
	{"unlocked by who may not", `@1 account.locked principal=staff:anna`, `@5 account.unlock by=staff:bob principal=staff:anna`, `refused not permitted not_permitted`},
	{"unlocked by oneself", `@1 account.locked principal=staff:root`, `@5 account.unlock principal=staff:root`, `refused not permitted not_permitted`},
	{"the count begins again after a success", `@1 signin.failed principal=staff:anna
		@2 signin.failed principal=staff:anna
		@3 signin.succeeded principal=staff:anna
		@4 signin.failed principal=staff:anna`, `@5 signin.fail principal=staff:anna`, `signin.failed principal=staff:anna`},
	{"and after an unlocking", `@1 signin.failed principal=staff:anna
		@2 signin.failed principal=staff:anna
		@3 account.locked principal=staff:anna
		@4 account.unlocked principal=staff:anna`, `@5 signin.fail principal=staff:anna`, `signin.failed principal=staff:anna`},
	{"a failed sign-in of nobody", ``, `@5 signin.fail by=staff:nobody principal=staff:nobody`, `refused unknown unknown_account`},
	{"a success that ends no failures", ``, `@5 signin.succeed by=staff:anna principal=staff:anna`, `nothing`},
	{"a success that ends some", `@1 signin.failed principal=staff:anna`, `@5 signin.succeed by=staff:anna principal=staff:anna`, `signin.succeeded principal=staff:anna`},
	{"a success when locked", `@1 signin.failed principal=staff:anna
		@2 account.locked principal=staff:anna`, `@5 signin.succeed by=staff:anna principal=staff:anna`, `refused conflict account_locked`},
	{"a success that ends no failures, in an import", ``, `@5 signin.succeeded principal=staff:anna`, `refused conflict no_failures`},
	{"locked", ``, `@5 account.lock principal=staff:anna cause=lost`, `account.locked principal=staff:anna cause=lost`},
	{"locked twice", `@1 account.locked principal=staff:anna`, `@5 account.lock principal=staff:anna`, `refused conflict already_locked`},
	{"unlocked", `@1 account.locked principal=staff:anna`, `@5 account.unlock principal=staff:anna cause=found`, `account.unlocked principal=staff:anna cause=found`},
	{"unlocked, but not locked", ``, `@5 account.unlock principal=staff:anna`, `refused conflict not_locked`},

	// Guests.
	{"invited", ``, `@5 guest.invite guest=guest:g call=call:1 until=@7`, `guest.invited guest=guest:g call=call:1 until=@7`},
	{"invited twice", `@4 guest.invited guest=guest:g call=call:1 until=@6`, `@5 guest.invite guest=guest:g call=call:1 until=@7`, `refused conflict already_invited`},
	{"invited again", `@3 guest.invited guest=guest:g call=call:1 until=@5`, `@5 guest.invite guest=guest:g call=call:1 until=@7`, `guest.invited guest=guest:g call=call:1 until=@7`},
	{"invited for too long", ``, `@5 guest.invite guest=guest:g call=call:1 until=@8`, `refused rule broken beyond_longest`},
	{"invited in the past", ``, `@5 guest.invite guest=guest:g call=call:1 until=@5`, `refused rule broken empty_interval`},
	{"invited, but deactivated", `@1 role.assigned principal=staff:anna role=manager
		@2 account.deactivated account=staff:anna`, `@5 guest.invite guest=staff:anna call=call:1 until=@7`, `refused conflict not_active`},
	{"invited to what is no call", ``, `@5 guest.invited guest=guest:g call=journal:1 until=@7`, `refused rule broken unknown_kind`},
	{"invited to a call that is over", `@4 call.ended call=call:1`, `@5 guest.invite guest=guest:g call=call:1 until=@7`, `refused conflict call_ended`},
	{"a guest of a kind that there is not", ``, `@5 guest.invite guest=robot:r call=call:1 until=@7`, `refused rule broken unknown_kind`},
	{"let in", `@4 guest.invited guest=guest:g call=call:1 until=@6`, `@5 guest.admit guest=guest:g call=call:1`, `guest.admitted guest=guest:g call=call:1`},
	{"let in twice", `@4 guest.invited guest=guest:g call=call:1 until=@6
		@4 guest.admitted guest=guest:g call=call:1`, `@5 guest.admit guest=guest:g call=call:1`, `refused conflict already_admitted`},
	{"let in, but to another call", `@4 guest.invited guest=guest:g call=call:1 until=@6`, `@5 guest.admit guest=guest:g call=call:2`, `refused conflict not_invited`},
	{"let in too late", `@3 guest.invited guest=guest:g call=call:1 until=@5`, `@5 guest.admit guest=guest:g call=call:1`, `refused conflict not_invited`},
	{"invited by a one-time link", ``, `@5 guest.invite guest=guest:g call=call:1 until=@7 link=open-sesame-123456`, `guest.invited guest=guest:g call=call:1 until=@7 link=open-sesame-123456`},
	{"let in by it", `@4 guest.invited guest=guest:g call=call:1 until=@6 link=open-sesame-123456`, `@5 guest.admit guest=guest:g call=call:1 link=open-sesame-123456`, `guest.admitted guest=guest:g call=call:1 link=open-sesame-123456`},
	{"let in by it twice", `@4 guest.invited guest=guest:g call=call:1 until=@6 link=open-sesame-123456
		@4 guest.admitted guest=guest:g call=call:1 link=open-sesame-123456`, `@5 guest.admit guest=guest:g call=call:1 link=open-sesame-123456`, `refused conflict already_admitted`},
	{"let in by another link", `@4 guest.invited guest=guest:g call=call:1 until=@6 link=open-sesame-123456`, `@5 guest.admit guest=guest:g call=call:1 link=open-sesame-123457`, `refused not permitted wrong_link`},
	{"let in without the link", `@4 guest.invited guest=guest:g call=call:1 until=@6 link=open-sesame-123456`, `@5 guest.admit guest=guest:g call=call:1`, `refused rule broken link_missing`},
	{"let in by a link though invited without", `@4 guest.invited guest=guest:g call=call:1 until=@6`, `@5 guest.admit guest=guest:g call=call:1 link=open-sesame-123456`, `refused rule broken no_link`},
	{"let in by the link of an earlier invitation", `@2 guest.invited guest=guest:g call=call:1 until=@4 link=open-sesame-123456
		@4 guest.invited guest=guest:g call=call:1 until=@6 link=open-sesame-123457`, `@5 guest.admit guest=guest:g call=call:1 link=open-sesame-123456`, `refused not permitted wrong_link`},
	{"a call ended", `@4 guest.invited guest=guest:g call=call:1 until=@6`, `@5 call.end call=call:1`, `call.ended call=call:1`},
	{"a call ended twice", `@4 call.ended call=call:1`, `@5 call.end call=call:1`, `refused conflict call_ended`},

	// Corrections. The first event given is 10.
	{"corrected", `@1 role.assigned principal=staff:anna role=therapist`, `@5 fact.correct corrects=10 from=@3 until=@4 reason=slip`, `fact.corrected corrects=10 from=@3 until=@4`},
	{"voided", `@1 role.assigned principal=staff:anna role=therapist`, `@5 fact.correct corrects=10 void=true reason=slip`, `fact.corrected corrects=10 void=true`},
	{"corrected without a reason", `@1 role.assigned principal=staff:anna role=therapist`, `@5 fact.correct corrects=10 from=@3 until=@4`, `refused rule broken reason_missing`},
	{"corrected without a reason, which can't be given", `@1 role.assigned principal=staff:anna role=therapist
		@2 subject.erased account=staff:anna`, `@5 fact.correct corrects=10 void=true`, `fact.corrected corrects=10 void=true`},
	{"corrected without a reason, in an import", `@1 role.assigned principal=staff:anna role=therapist`, `@5 fact.corrected corrects=10 from=@3 until=@4`, `fact.corrected corrects=10 from=@3 until=@4`},
	{"corrected to what nobody says", `@1 role.assigned principal=staff:anna role=therapist`, `@5 fact.correct corrects=10 reason=slip`, `refused malformed bad_correction`},
	{"voided with bounds", `@1 role.assigned principal=staff:anna role=therapist`, `@5 fact.correct corrects=10 void=true from=@3 reason=slip`, `refused malformed bad_correction`},
	{"corrected to nothing", `@1 role.assigned principal=staff:anna role=therapist until=@4`, `@5 fact.correct corrects=10 from=@4 reason=slip`, `refused rule broken empty_interval`},
	{"corrected in one bound, where it was voided", `@1 role.assigned principal=staff:anna role=therapist from=@4
		@2 fact.corrected corrects=10 void=true`, `@5 fact.correct corrects=10 from=@3 reason=slip`, `refused conflict never_held`},
	{"corrected in one bound, where it ended before it began", `@1 role.assigned principal=staff:anna role=therapist from=@8
		@2 role.revoked principal=staff:anna role=therapist`, `@5 fact.correct corrects=10 from=@1 reason=slip`, `refused conflict never_held`},
	{"corrected in both", `@1 role.assigned principal=staff:anna role=therapist from=@8
		@2 role.revoked principal=staff:anna role=therapist`, `@5 fact.correct corrects=10 from=@1 until=@2 reason=slip`, `fact.corrected corrects=10 from=@1 until=@2`},
	{"corrected into what another event says", `@1 role.assigned principal=staff:anna role=therapist until=@2
		@3 role.assigned principal=staff:anna role=therapist`, `@5 fact.correct corrects=10 until=@4 reason=slip`, `refused conflict overlaps`},
	{"corrected up to what another event says", `@1 role.assigned principal=staff:anna role=therapist until=@2
		@3 role.assigned principal=staff:anna role=therapist`, `@5 fact.correct corrects=10 until=@3 reason=slip`, `fact.corrected corrects=10 until=@3`},
	{"corrected so that two of a group are held", `@1 role.assigned principal=staff:anna role=full until=@2
		@3 role.assigned principal=staff:anna role=limited`, `@5 fact.correct corrects=10 until=@4 reason=slip`, `refused rule broken one_of_group`},
	{"corrected so that one of a group follows another", `@1 role.assigned principal=staff:anna role=full until=@2
		@3 role.assigned principal=staff:anna role=limited`, `@5 fact.correct corrects=10 until=@3 reason=slip`, `fact.corrected corrects=10 until=@3`},
	{"corrected so that what a role needs was not held", `@1 role.assigned principal=staff:anna role=limited
		@2 role.assigned principal=staff:anna role=senior`, `@5 fact.correct corrects=10 from=@3 reason=slip`, `refused rule broken role_needed`},
	{"corrected so that a role needs what was not held", `@1 role.assigned principal=staff:anna role=limited
		@2 role.assigned principal=staff:anna role=senior`, `@5 fact.correct corrects=11 from=@0 reason=slip`, `refused rule broken role_needed`},
	{"voided, what a role needs", `@1 role.assigned principal=staff:anna role=limited
		@2 role.assigned principal=staff:anna role=senior`, `@5 fact.correct corrects=10 void=true reason=slip`, `refused rule broken role_needed`},
	{"voided, what needs a role", `@1 role.assigned principal=staff:anna role=limited
		@2 role.assigned principal=staff:anna role=senior`, `@5 fact.correct corrects=11 void=true reason=slip`, `fact.corrected corrects=11 void=true`},
	{"corrected so that there are too many links", `@1 role.assigned principal=staff:anna role=limited
		@1 caseload.linked principal=staff:anna client=client:x relation=reader until=@3
		@4 caseload.linked principal=staff:anna client=client:y relation=reader`, `@5 fact.correct corrects=11 until=@9 reason=slip`, `refused rule broken too_many_links`},
	{"corrected so that there are links enough", `@1 role.assigned principal=staff:anna role=limited
		@1 caseload.linked principal=staff:anna client=client:x relation=reader until=@3
		@4 caseload.linked principal=staff:anna client=client:y relation=reader`, `@5 fact.correct corrects=11 until=@4 reason=slip`, `fact.corrected corrects=11 until=@4`},

	// The last founder. After founders, root is the only one.
	{"a role of the last founder revoked", founders, `@5 role.revoke principal=staff:root role=keeper`, `refused rule broken last_founder`},
	{"the other role of the last founder revoked", founders, `@5 role.revoke principal=staff:root role=manager`, `refused rule broken last_founder`},
	{"a role of the last founder revoked, in an import", founders, `@5 role.revoked principal=staff:root role=keeper`, `role.revoked principal=staff:root role=keeper`},
	{"one of two founders revoked", founders + another, `@5 role.revoke principal=staff:root role=keeper`, `role.revoked principal=staff:root role=keeper`},
	{"the other founder's role revoked", founders + another, `@5 role.revoke principal=staff:anna role=keeper`, `role.revoked principal=staff:anna role=keeper`},
	{"the last but for one who is locked", founders + another + `
		@2 account.locked principal=staff:anna`, `@5 role.revoke principal=staff:root role=keeper`, `refused rule broken last_founder`},
	{"the last but for one who is deactivated", founders + another + `
		@2 account.deactivated account=staff:anna`, `@5 role.revoke principal=staff:root role=keeper`, `refused rule broken last_founder`},
	{"the last but for one with an end", founders + `
		@1 role.assigned principal=staff:anna role=keeper
		@1 role.assigned principal=staff:anna role=manager until=@99`, `@5 role.revoke principal=staff:root role=keeper`, `refused rule broken last_founder`},
	{"the last but for one to come", founders + `
		@1 role.assigned principal=staff:anna role=keeper
		@1 role.assigned principal=staff:anna role=manager from=@9`, `@5 role.revoke principal=staff:root role=keeper`, `refused rule broken last_founder`},
	{"a founder that is none any more revoked", founders + `
		@2 account.locked principal=staff:root
		@2 role.assigned principal=staff:bob role=manager`, `@5 role.revoke by=staff:bob principal=staff:root role=keeper`, `role.revoked principal=staff:root role=keeper`},
	{"another role of the last founder revoked", founders + `
		@2 role.assigned principal=staff:root role=therapist`, `@5 role.revoke principal=staff:root role=therapist`, `role.revoked principal=staff:root role=therapist`},
	{"the last founder deactivated", founders, `@5 account.deactivate account=staff:root`, `refused rule broken last_founder`},
	{"the last founder locked by hand", founders, `@5 account.lock principal=staff:root`, `refused rule broken last_founder`},
	{"one of two founders locked by hand", founders + another, `@5 account.lock principal=staff:root`, `account.locked principal=staff:root`},
	{"the last founder's role given an end", founders, `@5 fact.correct corrects=11 until=@99 reason=slip`, `refused rule broken last_founder`},
	{"the last founder's role voided", founders, `@5 fact.correct corrects=3 void=true reason=slip`, `refused rule broken last_founder`},
	{"the last founder's role begun later", founders, `@5 fact.correct corrects=11 from=@6 reason=slip`, `refused rule broken last_founder`},
	{"the last founder's role begun earlier", founders, `@5 fact.correct corrects=11 from=@0 reason=slip`, `fact.corrected corrects=11 from=@0`},
	{"a catalogue of which nobody is founder", founders, `@5 catalogue.adopt document=rules-later`, `refused rule broken last_founder`},
	{"a catalogue of which somebody is founder", founders + `
		@2 role.assigned principal=staff:bob role=full
		@2 role.assigned principal=staff:bob role=senior
		@2 role.assigned principal=staff:bob role=chief
		@2 role.assigned principal=staff:bob role=keeper`, `@5 catalogue.adopt document=rules-later`, `catalogue.adopted document=rules-later catalogue=rules-later version=3 digest=LATER`},
	{"corrected, an account's opening", ``, `@5 fact.correct corrects=4 from=@3 reason=slip`, `refused rule broken not_correctable`},
	{"corrected, what began nothing", `@1 role.assigned principal=staff:anna role=therapist
		@2 role.revoked principal=staff:anna role=therapist`, `@5 fact.correct corrects=11 from=@3 reason=slip`, `refused unknown unknown_fact`},
	{"corrected, what is yet to be", ``, `@5 fact.correct corrects=11 from=@3 reason=slip`, `refused unknown unknown_fact`},
	{"the same, in an import", ``, `@5 fact.corrected corrects=11 from=@3`, `refused unknown unknown_fact`},
	{"noticed", `@1 role.assigned principal=staff:anna role=therapist until=@4`, `@5 validity.ended of=10`, `validity.ended of=10`},
	{"noticed, what began nothing", ``, `@5 validity.started of=10`, `refused unknown unknown_fact`},

	// The catalogue, and erasure.
	{"adopted", ``, `@5 catalogue.adopt document=care-later`, `catalogue.adopted document=care-later catalogue=care-later version=2 digest=` + "DIGEST"},
	{"adopted by another name", ``, `@5 catalogue.adopt document=care-later catalogue=care`, `refused rule broken catalogue_mismatch`},
	{"adopted as another version", ``, `@5 catalogue.adopt document=care-later version=3`, `refused rule broken catalogue_mismatch`},
	{"adopted by another digest", ``, `@5 catalogue.adopt document=care-later digest=sha256:00`, `refused rule broken catalogue_mismatch`},
	{"erased", ``, `@5 subject.erase account=client:x`, `subject.erased account=client:x`},
	{"erased twice", `@1 subject.erased account=client:x`, `@5 subject.erase account=client:x`, `refused conflict subject_erased`},
	{"written about after", `@1 subject.erased account=client:x`, `@5 account.lock principal=client:x reason=why`, `refused conflict subject_erased`},
	{"recorded about after, without a text", `@1 subject.erased account=client:x`, `@5 account.lock principal=client:x`, `account.locked principal=client:x`},
	{"written by them after, about nobody", `@1 subject.erased account=staff:root`, `@5 catalogue.adopt document=care-later reason=why`, `refused conflict subject_erased`},
	{"recorded by them after, without a text", `@1 subject.erased account=staff:root`, `@5 call.end call=call:1`, `call.ended call=call:1`},
	{"erased, but never opened", ``, `@5 subject.erase account=client:nobody`, `refused unknown unknown_account`},
}

func TestDecide(t *testing.T) {
	for _, c := range decisions {
		t.Run(c.name, func(t *testing.T) {
			m := ledger(t, begun, c.given)
			s := readSaid(t, c.when)
			var events []*Event
			var err error
			if _, command := commands[Action(s.name)]; command {
				ids := 0
				events, err = Decide(m.now(), s.command(), s.at, func() EventID { ids++; return EventID(fmt.Sprintf("new%d", ids)) })
			} else {
				events = []*Event{s.event("new1")}
				err = Admit(m.now(), events[0])
			}
			if want, refused := strings.CutPrefix(c.then, "refused "); refused {
				var e *Error
				if !errors.As(err, &e) || string(e.Failure)+" "+e.Code != want || strings.Contains(e.Message, "%!") {
					t.Fatalf("%s: got %d events and error %#v, want refused as %s", c.when, len(events), err, want)
				}
				return
			}
			if err != nil {
				t.Fatalf("%s: refused: %v", c.when, err)
			}
			var want []said
			if c.then != "nothing" {
				then := strings.ReplaceAll(c.then, "DIGEST", Digest([]byte(testCatalogue(t, "care-later"))))
				then = strings.ReplaceAll(then, "LATER", Digest([]byte(testCatalogue(t, "rules-later"))))
				for line := range strings.Lines(then) {
					want = append(want, readSaid(t, "@0 "+strings.TrimSpace(line)))
				}
			}
			if len(events) != len(want) {
				t.Fatalf("%s: got %d events, want %d", c.when, len(events), len(want))
			}
			ids := map[EventID]bool{}
			for i, e := range events {
				why := s.why
				if i > 0 { // what follows has no reason of its own
					why = ""
				}
				ids[e.ID] = true
				wanted := Event{ID: e.ID, Org: e.Org, Type: want[i].data.Type(), Version: versionOf(want[i].data), RecordedAt: s.at, Actor: s.by, Reason: why,
					Source: e.Source, RequestID: s.id, Data: want[i].data}
				if !reflect.DeepEqual(*e, wanted) {
					t.Errorf("%s: event %d: got\n%s, want\n%s", c.when, i, shown(e), shown(&wanted))
				}
				if err := m.record(e); err != nil {
					t.Errorf("%s: event %d: decided, and does not fold: %v", c.when, i, err)
				}
			}
			if len(ids) != len(events) {
				t.Errorf("%s: got ids %v for %d events, want one for each", c.when, ids, len(events))
			}
		})
	}
}

// TestEveryRefusalHasAHistory holds that each code in decide.go and admit.go is one that a history above, or a test below, ends in.
func TestEveryRefusalHasAHistory(t *testing.T) {
	var source []byte
	for _, file := range []string{"decide.go", "admit.go"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		source = append(source, text...)
	}
	seen := map[string]bool{"bad_command": true, "no_catalogue": true, "unknown_type": true}
	asked := map[string]bool{}
	for _, c := range decisions {
		words := strings.Fields(c.then)
		seen[words[len(words)-1]] = true
		asked[strings.Fields(c.when)[1]] = true
	}
	codes := regexp.MustCompile(`(?:Malformed|NotPermitted|Unknown|Conflict|RuleBroken), "([a-z_]+)"|a\.(?:stands|free)\([^"]*"([a-z_]+)"`).FindAllStringSubmatch(string(source), -1)
	if len(codes) < 50 {
		t.Fatalf("found %d codes; want the pattern to find all", len(codes))
	}
	for _, code := range codes {
		if !seen[code[1]+code[2]] {
			t.Errorf("refusal %s: no history ends in it", code[1]+code[2])
		}
	}
	for _, c := range Commands() {
		if !asked[string(c)] {
			t.Errorf("command %s: no history asks for it", c)
		}
	}
}

func TestDecideRefusesDataOfAnotherCommand(t *testing.T) {
	m := ledger(t, begun)
	for _, d := range []Data{nil, &RoleRevocation{"staff:anna", "therapist"}} {
		_, err := Decide(m.now(), Command{Name: "role.assign", Actor: "staff:root", Data: d}, hour(1), nil)
		var e *Error
		if !errors.As(err, &e) || e.Code != "bad_command" {
			t.Errorf("%v: got %v, want bad_command", d, err)
		}
	}
}

func TestAdmitWithoutACatalogue(t *testing.T) {
	var e *Error
	if err := Admit(newMemory().now(), readSaid(t, "@0 account.opened account=staff:root").event("e1")); !errors.As(err, &e) || e.Code != "no_catalogue" {
		t.Errorf("got %v, want no_catalogue", err)
	}
	if _, err := Decide(newMemory().now(), readSaid(t, "@0 account.open account=staff:root").command(), hour(0), nil); !errors.Is(err, Unknown) {
		t.Errorf("got %v, want the actor to be unknown", err)
	}
}

type noEvent struct{ *CallEnding }

func TestAdmitRefusesATypeWithoutARule(t *testing.T) {
	var e *Error
	err := Admit(ledger(t, begun).now(), &Event{ID: "e", Type: "call.ended", RecordedAt: hour(1), Data: noEvent{}})
	if !errors.As(err, &e) || e.Code != "unknown_type" {
		t.Errorf("got %v, want unknown_type", err)
	}
	if _, err := Fold(newMemory().now(), &Event{Data: noEvent{}}); !errors.Is(err, Integrity) {
		t.Errorf("fold: got %v, want an integrity failure", err)
	}
}

// What Fold can't fit onto what is there was not written by this ledger.
func TestFoldRefusesWhatDoesNotFollow(t *testing.T) {
	for _, line := range []string{
		"@5 role.revoked principal=staff:anna role=therapist", "@5 caseload.unlinked principal=staff:anna client=client:x relation=reader",
		"@5 access.revoked grant=g", "@5 access.reviewed grant=g verdict=unclear", "@5 team.left team=team:night member=staff:anna",
		"@5 permission.restored principal=staff:anna on=client action=view", "@5 account.unlocked principal=staff:anna",
		"@5 account.deactivated account=staff:nobody", "@5 signin.succeeded principal=staff:anna", "@5 fact.corrected corrects=99 void=true",
		"@5 validity.started of=99",
	} {
		_, err := Fold(ledger(t, begun).now(), readSaid(t, line).event("e"))
		if !errors.Is(err, Integrity) {
			t.Errorf("%s: got %v, want an integrity failure", line, err)
		}
	}
}

// The relations that opening brings count together against the most that a role may have.
func TestOpeningBringsNoMoreLinksThanAllowed(t *testing.T) {
	m := ledger(t, `
		@0 catalogue.adopted document=two-on-open
		@0 account.opened account=staff:root
		@0 role.assigned principal=staff:root role=manager`)
	events, err := Decide(m.now(), readSaid(t, "@1 account.open account=client:x").command(), hour(1), func() EventID { return "e" })
	if err != nil || len(events) != 2 {
		t.Fatalf("got %d events, %v, want the opening and one link", len(events), err)
	}
	for _, e := range events {
		if err := Admit(m.now(), e); err != nil {
			t.Fatalf("%s: decided on, and an import would refuse it: %v", shown(e), err)
		}
		if err := m.record(e); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPersonOf(t *testing.T) {
	m := ledger(t, begun, `
		@1 access.granted grant=g principal=friend:fay client=client:x profile=visit until=@9
		@1 resource.registered resource=journal:1 client=client:y created_by=staff:anna
		@1 caseload.linked principal=staff:anna client=client:x relation=restricted
		@1 role.assigned principal=staff:anna role=therapist`)
	for line, want := range map[string]Account{
		"@5 account.opened account=staff:cees":                                                   "staff:cees",
		"@5 caseload.unlinked principal=staff:anna client=client:x relation=restricted":          "client:x",
		"@5 team.joined team=team:night member=staff:bob":                                        "staff:bob",
		"@5 access.revoked grant=g":                                                              "client:x",
		"@5 access.reviewed grant=g verdict=unclear":                                             "client:x",
		"@5 permission.added principal=staff:anna on=client action=view":                         "staff:anna",
		"@5 permission.added principal=staff:anna on=client action=view client=client:y":         "client:y",
		"@5 resource.registered resource=journal:2 client=client:x created_by=staff:anna":        "client:x",
		"@5 resource.removed resource=journal:1":                                                 "client:y",
		"@5 guest.invited guest=guest:g call=call:1 until=@6":                                    "guest:g",
		"@5 call.ended call=call:1":                                                              "",
		"@5 catalogue.adopted document=care":                                                     "",
		"@5 fact.corrected corrects=12 void=true":                                                "client:x",
		"@5 fact.corrected corrects=13 void=true":                                                "staff:anna",
		"@5 validity.started of=10":                                                              "client:x",
		"@5 subject.erased account=client:x":                                                     "client:x",
		"@5 signin.failed principal=staff:bob":                                                   "staff:bob",
		"@5 access.granted principal=friend:fay client=client:y profile=visit until=@9 reason=r": "client:y",
	} {
		if got, err := PersonOf(m.now(), readSaid(t, line).data); err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", line, got, err, want)
		}
	}
}

// A refusal names the rule, what stands against it, and where something does not exist what does.
func TestRefusalsSayTheRule(t *testing.T) {
	for _, c := range []struct{ given, when, want string }{
		{`@1 role.assigned principal=staff:anna role=therapist`, `@5 role.assign principal=staff:anna role=senior`, "senior needs full or limited; staff:anna has therapist"},
		{``, `@5 role.assign principal=staff:anna role=senior`, "senior needs full or limited; staff:anna has no role"},
		{`@1 role.assigned principal=staff:anna role=full until=@9
			@1 role.assigned principal=staff:anna role=therapist`, `@5 role.assign principal=staff:anna role=senior`, "senior needs full or limited; staff:anna has therapist at 2026-01-01T09:00:00.000Z"},
		{`@1 role.assigned principal=staff:anna role=full
			@1 role.assigned principal=staff:anna role=senior from=@9`, `@5 role.revoke principal=staff:anna role=full`, "senior needs full or limited, and staff:anna holds senior at 2026-01-01T09:00:00.000Z; end that first"},
		{`@1 role.assigned principal=staff:anna role=full`, `@5 role.assign principal=staff:anna role=limited`, "limited and full are both of group access, of which one may be held at a time; staff:anna has full"},
		{`@1 role.assigned principal=staff:anna role=limited
			@1 caseload.linked principal=staff:anna client=client:x relation=restricted`, `@5 caseload.link principal=staff:anna client=client:y relation=reader`, "of open links a holder of limited may have at most 1; staff:anna would have 2"},
		{`@1 role.assigned principal=staff:anna role=full`, `@5 caseload.link principal=staff:anna client=client:x relation=therapist`, "relation therapist needs role therapist; staff:anna has full"},
		{``, `@5 account.lock principal=staff:root`, "account.locked: staff:root is the last who holds manager with no end and has an open account that is not locked; let somebody else be founder first"},
		{``, `@5 role.assign principal=staff:anna role=wizard`, "role wizard: the catalogue has no such role; it has full limited manager senior therapist visitor"},
		{``, `@5 account.opened account=robot:r`, "account robot:r: the catalogue has no kind robot; it has client friend guest staff team"},
		{``, `@5 caseload.link principal=staff:anna client=client:x relation=aunt`, "relation aunt: the catalogue has no such relation; it has friend reader restricted therapist"},
		{``, `@5 access.grant principal=staff:root client=client:x profile=party until=@9`, "profile party: the catalogue has no such temporary access; it has emergency visit"},
		{``, `@5 permission.add principal=staff:anna on=moon action=view`, "on moon: the catalogue has no such type; it has call catalogue client friend guest journal leaflet note platform staff team"},
		{``, `@5 permission.add principal=staff:anna on=platform action=fly`, "action fly: the catalogue has no such action on platform; it has configure or read"},
		{``, `@5 resource.register resource=platform:1 client=client:x created_by=staff:anna`, "resource platform:1: the catalogue has no type platform that belongs to a client; it has journal leaflet note"},
		{``, `@5 guest.invited guest=guest:g call=journal:1 until=@7`, "call journal:1: the catalogue has no type journal that belongs to nobody; it has call catalogue platform"},
	} {
		m := ledger(t, begun, c.given)
		err := m.step(t, c.when)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s:\ngot  %v\nwant %s", c.when, err, c.want)
		}
	}
}

// What the ledger fills in is in the event, and not in the caller's data, which may be decided on again.
func TestDecideLeavesTheCommandAsItWas(t *testing.T) {
	m := ledger(t, begun, founders)
	for _, line := range []string{
		"@5 access.grant principal=staff:root client=client:x profile=visit until=@6",
		"@5 catalogue.adopt document=rules",
		"@5 catalogue.adopt document=rules-later", // refused, after its version was filled in
	} {
		s := readSaid(t, line)
		Decide(m.now(), s.command(), s.at, func() EventID { return "new" })
		if again := readSaid(t, line); !reflect.DeepEqual(s.data, again.data) {
			t.Errorf("%s: got data %+v after it was decided on, want it as it was", line, s.data)
		}
	}
}
