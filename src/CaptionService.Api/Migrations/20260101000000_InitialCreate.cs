using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace CaptionService.Api.Migrations
{
    /// <inheritdoc />
    public partial class InitialCreate : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.CreateTable(
                name: "Datasets",
                columns: table => new
                {
                    Id = table.Column<string>(nullable: false),
                    Name = table.Column<string>(nullable: false),
                    Language = table.Column<string>(nullable: false),
                    Status = table.Column<string>(nullable: false),
                    CreatedAt = table.Column<long>(nullable: false),
                    Photos = table.Column<int>(nullable: false),
                    Captions = table.Column<int>(nullable: false),
                    TrainPhotos = table.Column<int>(nullable: false),
                    DevPhotos = table.Column<int>(nullable: false),
                    Bytes = table.Column<long>(nullable: false),
                    Report = table.Column<string>(nullable: true),
                    Problem = table.Column<string>(nullable: true)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_Datasets", x => x.Id);
                });

            migrationBuilder.CreateTable(
                name: "Evaluations",
                columns: table => new
                {
                    Id = table.Column<string>(nullable: false),
                    Model = table.Column<string>(nullable: false),
                    CompareModel = table.Column<string>(nullable: true),
                    DatasetId = table.Column<string>(nullable: false),
                    Split = table.Column<string>(nullable: false),
                    State = table.Column<string>(nullable: false),
                    CreatedAt = table.Column<long>(nullable: false),
                    Result = table.Column<string>(nullable: true),
                    Error = table.Column<string>(nullable: true)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_Evaluations", x => x.Id);
                });

            migrationBuilder.CreateTable(
                name: "IdempotencyKeys",
                columns: table => new
                {
                    Key = table.Column<string>(nullable: false),
                    BodyDigest = table.Column<string>(nullable: false),
                    CreatedAt = table.Column<long>(nullable: false),
                    JobId = table.Column<string>(nullable: true)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_IdempotencyKeys", x => x.Key);
                });

            migrationBuilder.CreateTable(
                name: "ModelVersions",
                columns: table => new
                {
                    Name = table.Column<string>(nullable: false),
                    Version = table.Column<int>(nullable: false),
                    Digest = table.Column<string>(nullable: false),
                    Language = table.Column<string>(nullable: false),
                    Scores = table.Column<string>(nullable: false),
                    Card = table.Column<string>(nullable: false),
                    JobId = table.Column<string>(nullable: true),
                    DatasetId = table.Column<string>(nullable: true),
                    CreatedAt = table.Column<long>(nullable: false),
                    Active = table.Column<bool>(nullable: false),
                    ActivatedAt = table.Column<long>(nullable: true),
                    Folder = table.Column<string>(nullable: false),
                    DeletedAt = table.Column<long>(nullable: true)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_ModelVersions", x => new { x.Name, x.Version });
                });

            migrationBuilder.CreateTable(
                name: "TrainingJobEvents",
                columns: table => new
                {
                    JobId = table.Column<string>(nullable: false),
                    Number = table.Column<long>(nullable: false),
                    Time = table.Column<long>(nullable: false),
                    Type = table.Column<string>(nullable: false),
                    Data = table.Column<string>(nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_TrainingJobEvents", x => new { x.JobId, x.Number });
                });

            migrationBuilder.CreateTable(
                name: "TrainingJobs",
                columns: table => new
                {
                    Id = table.Column<string>(nullable: false),
                    Name = table.Column<string>(nullable: false),
                    DatasetId = table.Column<string>(nullable: false),
                    Preset = table.Column<string>(nullable: false),
                    BaseModel = table.Column<string>(nullable: true),
                    Seed = table.Column<int>(nullable: false),
                    Options = table.Column<string>(nullable: false),
                    BudgetMinutes = table.Column<double>(nullable: true),
                    ActivateIfBetter = table.Column<bool>(nullable: false),
                    State = table.Column<string>(nullable: false),
                    CreatedAt = table.Column<long>(nullable: false),
                    QueuedAt = table.Column<long>(nullable: true),
                    RunningAt = table.Column<long>(nullable: true),
                    CancellingAt = table.Column<long>(nullable: true),
                    CancelledAt = table.Column<long>(nullable: true),
                    FailedAt = table.Column<long>(nullable: true),
                    SucceededAt = table.Column<long>(nullable: true),
                    Attempt = table.Column<int>(nullable: false),
                    LeaseOwner = table.Column<string>(nullable: true),
                    LeaseUntil = table.Column<long>(nullable: true),
                    LastEvent = table.Column<long>(nullable: false),
                    Stage = table.Column<string>(nullable: true),
                    Step = table.Column<long>(nullable: true),
                    Steps = table.Column<long>(nullable: true),
                    Rate = table.Column<double>(nullable: true),
                    SecondsLeft = table.Column<double>(nullable: true),
                    Error = table.Column<string>(nullable: true),
                    ModelName = table.Column<string>(nullable: true),
                    ModelVersion = table.Column<int>(nullable: true),
                    Decision = table.Column<string>(nullable: true),
                    CrashesWithoutProgress = table.Column<int>(nullable: false),
                    Revision = table.Column<long>(nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_TrainingJobs", x => x.Id);
                });

            migrationBuilder.CreateIndex(
                name: "IX_TrainingJobs_State_CreatedAt",
                table: "TrainingJobs",
                columns: new[] { "State", "CreatedAt" });
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropTable(
                name: "Datasets");

            migrationBuilder.DropTable(
                name: "Evaluations");

            migrationBuilder.DropTable(
                name: "IdempotencyKeys");

            migrationBuilder.DropTable(
                name: "ModelVersions");

            migrationBuilder.DropTable(
                name: "TrainingJobEvents");

            migrationBuilder.DropTable(
                name: "TrainingJobs");
        }
    }
}
