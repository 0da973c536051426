using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace CaptionService.Api.Migrations
{
    /// <inheritdoc />
    public partial class FeedbackEntries : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.CreateTable(
                name: "Feedback",
                columns: table => new
                {
                    Id = table.Column<string>(nullable: false),
                    Photo = table.Column<string>(nullable: false),
                    Given = table.Column<string>(nullable: true),
                    Caption = table.Column<string>(nullable: false),
                    Language = table.Column<string>(nullable: false),
                    Who = table.Column<string>(nullable: true),
                    KeyId = table.Column<string>(nullable: true),
                    CreatedAt = table.Column<long>(nullable: false),
                    ChangedAt = table.Column<long>(nullable: false),
                    Storage = table.Column<string>(nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_Feedback", x => x.Id);
                });

            migrationBuilder.CreateIndex(
                name: "IX_Feedback_Photo",
                table: "Feedback",
                column: "Photo");
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropTable(
                name: "Feedback");
        }
    }
}
