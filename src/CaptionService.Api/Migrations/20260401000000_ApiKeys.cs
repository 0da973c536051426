using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace CaptionService.Api.Migrations
{
    /// <inheritdoc />
    public partial class ApiKeys : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.CreateTable(
                name: "ApiKeys",
                columns: table => new
                {
                    Id = table.Column<string>(nullable: false),
                    Name = table.Column<string>(nullable: false),
                    Scope = table.Column<string>(nullable: false),
                    Hash = table.Column<string>(nullable: false),
                    CreatedAt = table.Column<long>(nullable: false),
                    ExpiresAt = table.Column<long>(nullable: true),
                    LastUsedAt = table.Column<long>(nullable: true),
                    RevokedAt = table.Column<long>(nullable: true),
                    Storage = table.Column<string>(nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_ApiKeys", x => x.Id);
                });
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropTable(
                name: "ApiKeys");
        }
    }
}
